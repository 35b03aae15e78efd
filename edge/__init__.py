"""The ground: what every box, kiosk and server stands on. Imports no sibling."""
