"""Imports a library without the heavy ones that it takes along where they happen to be installed.

Place in the flow: **lean** → sqlite, and whoever imports python-can or cantools.

Theory of operation. sqlite-utils imports pandas and numpy where it finds them, and python-can
asammdf, which imports them too: on a box that can also replay MF4 recordings that cost every start
300 ms and 100 MB, for nothing. While a name stands in `sys.modules` as None, importing it
fails as if it were not installed, and these libraries then do without.

* A module that somebody has imported already is left alone; afterwards everything is as before.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Lets modules that nobody has imported yet pass for not installed, while the block runs."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: not to be had
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
