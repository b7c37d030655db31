"""Which checkpoints may go: a decision about numbers, without a file system.

This is about whole checkpoints, which are three to eight times as large as the weights in them. The weights of the best
validation and of the end are exported for themselves and stay when their checkpoints go.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def surplus(
    saved: Mapping[int, float],
    keep_last: int,
    keep_hours: float = 0.0,
    scores: Mapping[int, float] | None = None,
    keep_best: int = 0,
) -> list[int]:
    """The steps to delete so that the newest `keep_last` remain, landmarks `keep_hours` apart, and the best.

    Asked again and again, with only what is answered here deleted in between, it keeps the same landmarks, and the best
    of all that ever were.

    Args:
        saved: when each step was saved, in seconds.
        keep_last: at least 1.
        keep_hours: 0 for no landmarks. A landmark is the first checkpoint so much younger than the one before it.
        scores: of those that were validated; higher is better, and of equals the earlier.
        keep_best: how many of these to keep.
    """
    if keep_last < 1:
        raise ValueError(f"checkpoint.keep_last must be at least 1, got {keep_last}")
    steps = sorted(saved)
    kept = {*steps[-keep_last:], *_landmarks(steps, saved, keep_hours), *_best(steps, scores or {}, keep_best)}
    return [step for step in steps if step not in kept]


def _landmarks(steps: Sequence[int], saved: Mapping[int, float], keep_hours: float) -> list[int]:
    found: list[int] = []
    for step in steps if keep_hours > 0 else ():
        if not found or saved[step] - saved[found[-1]] >= 3600 * keep_hours:
            found.append(step)
    return found


def _best(steps: Sequence[int], scores: Mapping[int, float], count: int) -> list[int]:
    scored = [step for step in steps if math.isfinite(scores.get(step, math.nan))]
    return sorted(scored, key=lambda step: (-scores[step], step))[:count]
