"""Holm's correction for several tests."""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm 1979): below 0.05, the chance of any false alarm among all is.

    A p-value that is not known (NaN) is 1, and one of those that are corrected for.
    """
    p_values = [1.0 if math.isnan(p) else p for p in p_values]
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, least = [1.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = least
    return adjusted
