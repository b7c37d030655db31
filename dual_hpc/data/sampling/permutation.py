"""Keyed permutations of 0..n-1.

Only 64-bit integer arithmetic and a stable sort are used, so the result is the same on every machine and with every
version of numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15  # the step of splitmix64


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al., 2014): every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def shuffled(n: int, key: int) -> Indices:
    """A permutation of 0..n-1, drawn by sorting keyed hashes; [n]."""
    hashes = mix(np.uint64(key) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_GOLDEN_GAMMA))
    return np.argsort(hashes, kind="stable").astype(np.int64)
