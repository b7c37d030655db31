"""The garbage collector while an index is parsed.

Its objects hold no circles, and there are dozens for each sample: the collector would walk all of them again and again,
and take two thirds of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_collector_paused() -> Iterator[None]:
    """Objects are freed when nobody holds them any more, but circles are not looked for."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
