"""Which checkpoints are deleted: a decision about numbers, without a file system.

This is about complete checkpoints, which are three to eight times as large as the weights in them. The weights of the
best validation and of the end are exported separately and stay when their checkpoints are deleted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def steps_to_delete(
    saved: Mapping[int, float],
    keep_last: int,
    keep_hours: float = 0.0,
    scores: Mapping[int, float] | None = None,
    keep_best: int = 0,
) -> list[int]:
    """The steps to delete so that the newest `keep_last` remain, milestones `keep_hours` apart, and the best.

    Called repeatedly, with only the returned steps deleted in between, it keeps the same milestones, and the best of
    all checkpoints there ever were.

    Args:
        saved: when each step was saved, in seconds.
        keep_last: at least 1.
        keep_hours: 0 for no milestones. A milestone is the first checkpoint that is so much younger than the milestone
            before it.
        scores: of the steps that were validated; higher is better, and of equal scores the earlier step.
        keep_best: how many of these to keep.
    """
    if keep_last < 1:
        raise ValueError(f"checkpoint.keep_last must be at least 1, got {keep_last}")
    steps = sorted(saved)
    kept = {*steps[-keep_last:], *_milestones(steps, saved, keep_hours), *_best(steps, scores or {}, keep_best)}
    return [step for step in steps if step not in kept]


def _milestones(steps: Sequence[int], saved: Mapping[int, float], keep_hours: float) -> list[int]:
    found: list[int] = []
    for step in steps if keep_hours > 0 else ():
        if not found or saved[step] - saved[found[-1]] >= 3600 * keep_hours:
            found.append(step)
    return found


def _best(steps: Sequence[int], scores: Mapping[int, float], count: int) -> list[int]:
    scored = [step for step in steps if math.isfinite(scores.get(step, math.nan))]
    return sorted(scored, key=lambda step: (-scores[step], step))[:count]
