"""Which checkpoints may go: a decision about numbers, without a file system."""

from __future__ import annotations

import math
from collections.abc import Mapping


def surplus(saved: Mapping[int, float], keep_last: int, keep_hours: float = 0.0) -> list[int]:
    """The steps to delete so that the newest `keep_last` remain, and landmarks `keep_hours` apart.

    A landmark is the first checkpoint that is so much younger than the landmark before it; it stays one whenever this
    is asked again, as long as only what is answered here is deleted.

    Args:
        saved: when each step was saved, in seconds.
        keep_last: at least 1.
        keep_hours: 0 for no landmarks.
    """
    if keep_last < 1:
        raise ValueError(f"checkpoint.keep_last must be at least 1, got {keep_last}")
    steps = sorted(saved)
    kept = set(steps[-keep_last:])
    landmark = -math.inf
    for step in steps if keep_hours > 0 else ():
        if saved[step] - landmark >= 3600 * keep_hours:
            landmark = saved[step]
            kept.add(step)
    return [step for step in steps if step not in kept]
