"""The village counter: tap → journal → screen, with no network code.

Place in the flow: people touch two screens, the teller writes the journal, the agent
(`backend_sync.agent`) carries it to the core and brings the mirror back.

* It meets the network only in two files: the journal that it writes, the mirror that it reads.
"""
