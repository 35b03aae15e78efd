"""The bank's end: accept by device, post by account, and tell every device what it may know.

Place in the flow: api → **accept → post → ledger → downlink** → api.
"""
