"""Less work while a process starts: importing and loading make objects that stay, and nothing to collect."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """No garbage collection within the block, nor later of what it made.

    To look again and again through the some hundred thousand objects that torch and transformers make when they are
    imported is a fifth of the processor time of that.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()
            gc.enable()
