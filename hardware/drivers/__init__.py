"""Drivers: the real devices and processes behind `edge.ports`, one module each."""
