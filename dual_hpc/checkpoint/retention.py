"""Which checkpoints may go: a decision about numbers, without a file system."""

from __future__ import annotations

from collections.abc import Sequence


def surplus(steps: Sequence[int], keep_last: int) -> list[int]:
    """The steps to delete so that the newest `keep_last` remain.

    Args:
        steps: committed steps, in any order.
        keep_last: at least 1.
    """
    if keep_last < 1:
        raise ValueError(f"checkpoint.keep_last must be at least 1, got {keep_last}")
    return sorted(steps)[:-keep_last]
