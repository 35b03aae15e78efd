"""From features to a grade with reasons: points tables, consent, decisions that can be replayed.

Place in the flow: telemetry → **credit** → lending. Imports telemetry's functions, not its tables.
"""
