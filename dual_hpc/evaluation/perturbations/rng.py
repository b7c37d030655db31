"""Random numbers of one utterance, the same on any rank, in any batch and at every level of a perturbation."""

from __future__ import annotations

import hashlib

import numpy as np


def rng_for(seed: int, purpose: str, key: str) -> np.random.Generator:
    """A generator that depends on nothing but its arguments.

    A `purpose` is never renamed, even where the perturbation is: other draws would change the numbers of a result.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
