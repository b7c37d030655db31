"""Keyed permutations of 0..n-1 that are evaluated at any place in constant memory.

A Feistel network over the smallest even number of bits that holds n, walked until the value falls below n (cycle
walking: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002); small permutations are drawn outright. Only
64-bit integer arithmetic is used, so the result is the same on every machine and with every version of numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_ROUNDS = 8
_SMALL = 1024  # below, sorting is fast, and small networks would reach only some of the permutations


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al., 2014): every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def shuffled(n: int, key: int) -> Indices:
    """All of a permutation of 0..n-1, drawn by sorting keyed hashes; for n that fits into memory."""
    return np.argsort(mix(_round_keys(key, n)), kind="stable").astype(np.int64)


def permute(positions: Indices, n: int, key: int) -> Indices:
    """Where a keyed permutation of 0..n-1 sends `positions` (each in [0, n)); n up to 2^62."""
    assert positions.size == 0 or (positions.min() >= 0 and positions.max() < n)
    if n <= _SMALL:
        return shuffled(n, key)[positions]
    half = ((n - 1).bit_length() + 1) // 2
    keys = mix(_round_keys(key, _ROUNDS))
    out = _feistel(positions.astype(np.uint64), half, keys)
    outside = np.flatnonzero(out >= n)
    while outside.size:
        out[outside] = _feistel(out[outside], half, keys)
        outside = outside[out[outside] >= n]
    return out.astype(np.int64)


def _round_keys(key: int, n: int) -> NDArray[np.uint64]:
    return np.uint64(key) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def _feistel(values: NDArray[np.uint64], half_bits: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    half, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (mix(right ^ key) & mask)
    return (left << half) | right
