"""Random numbers of one utterance, the same on any rank, in any batch and at every level of a disturbance."""

from __future__ import annotations

import hashlib

import numpy as np


def of_utterance(seed: int, purpose: str, key: str) -> np.random.Generator:
    """A generator that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
