"""The two ends of every wire: agent on the device, core at the bank, and what they say.

Place in the flow: journal → agent ══ sync ══ core → ledger → downlink → agent → mirror.
"""
