"""Simulators: the device end of each wire, so that the drivers and ports above run unchanged."""
