"""What several encoders made of one modality of an utterance, side by side on common steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def side_by_side(arrays: Sequence[Array], hz: Sequence[float | None]) -> Array:
    """Features by several encoders, each [T_i, D_i], on the steps of the fastest: [T, sum of D_i].

    Step t of each is centred at (t + 1/2) / hz seconds. A slower one is interpolated linearly, and continued beyond
    its first and last step as it was there; what is on the steps already is copied bit for bit. Without rates, as of
    words, each is stretched to as many steps as the longest has. An array without steps gives zeros.

    Args:
        hz: steps per second of each, or None of all.

    Returns:
        In the wider of their types; [0, sum of D_i] where all are without steps.
    """
    rates = [float(rate or 1.0) for rate in hz]
    steps = common_steps([len(array) for array in arrays], hz)
    longest = max(len(array) for array in arrays)
    joined = np.zeros((steps, sum(array.shape[1] for array in arrays)), np.result_type(*arrays))
    first = 0
    for rate, array in zip(rates, arrays, strict=True):
        if len(array):
            ratio = len(array) / longest if None in hz else rate / max(rates)
            joined[:, first : first + array.shape[1]] = _at(array, (np.arange(steps) + 0.5) * ratio - 0.5)
        first += array.shape[1]
    return joined


def common_steps(lengths: Sequence[int], hz: Sequence[float | None]) -> int:
    """The steps T of `side_by_side`: those of the fastest, or as many as it had, where it is not there."""
    rates = [float(rate or 1.0) for rate in hz]
    rate, length = max(((rate, length) for rate, length in zip(rates, lengths, strict=True) if length), default=(1, 0))
    return max(min(1, length), round(length * max(rates) / rate))


def _at(array: Array, places: NDArray[np.floating[Any]]) -> Array:
    """Rows of [T, D] at these places between 0 and T - 1, by linear interpolation in float32 or wider."""
    places = places.clip(0, len(array) - 1)
    before = places.astype(np.int64)
    share = places - before
    if not share.any():
        return array[before]
    after = np.minimum(before + 1, len(array) - 1)
    exact = array.astype(np.result_type(array, np.float32), copy=False)
    weight = share[:, None].astype(exact.dtype)
    return exact[before] * (1 - weight) + exact[after] * weight  # no difference of the two: it may not be finite
