"""Fixtures of the soak's own tests: a box without processes, and its core."""

from tests.unit.vehicle_gateway.conftest import box, core

__all__ = ["box", "core"]
