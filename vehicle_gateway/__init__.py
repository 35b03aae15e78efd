"""BUS → OUTBOX → MQTT: turns the frames of a vehicle into sealed columns, events and trips."""
