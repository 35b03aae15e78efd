"""The technician's room: self-test, identity, certificate, configuration of a box or kiosk."""
