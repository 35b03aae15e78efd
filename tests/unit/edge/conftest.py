"""What the property tests of edge/ have in common: no deadline, since machines are shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
