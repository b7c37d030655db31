"""Keep the threads of one decoding on one core.

decord decodes on a thread of its own and hands every frame over to the caller's, which waits for it. The two hardly
ever work at once, yet the scheduler wakes each on whatever core is idle: a wake-up across cores and cold caches for
every frame, 5 to 8 % of the processor time on the machine of benchmarks/results/loader.md. Between two decodings the
scheduler is free to choose another core, so that no thread is tied to one that others need.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_YIELD_SECONDS = 2e-5  # the scheduler chooses a core for a thread that wakes up, not for one that runs on


@contextmanager
def pin_to_core() -> Iterator[None]:
    """The calling thread, and those that it starts meanwhile, stay on the core that the scheduler gives it now."""
    allowed = os.sched_getaffinity(0)
    time.sleep(_YIELD_SECONDS)
    with suppress(OSError, ValueError):  # not allowed or not known here (-1): it is only slower
        os.sched_setaffinity(0, {_libc.sched_getcpu()})
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, allowed)


_libc = ctypes.CDLL(None)
