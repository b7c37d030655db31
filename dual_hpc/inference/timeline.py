"""Answers of overlapping windows -> what is felt when: one distribution for each stretch between two window edges.

The distribution of a stretch is the mean of those of the windows that cover it; `smooth` averages over a longer time.
Stretches without an answer (no speech, nobody's turn) stay empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answered:
    """One window.

    Attributes:
        probabilities: of the classes, in their order; None where there was nothing to answer.
    """

    start: float
    end: float
    probabilities: tuple[float, ...] | None
    speaker: str | None = None


@dataclass(frozen=True)
class Stretch:
    """Seconds of a recording for which one distribution holds.

    Attributes:
        label: the most probable class; None without an answer.
    """

    start: float
    end: float
    probabilities: tuple[float, ...] | None
    label: str | None
    speaker: str | None = None


@dataclass(frozen=True)
class Timeline:
    """A recording: its stretches, in order and without overlap.

    Attributes:
        peaks: loudness of each `peak_seconds`, 0..1, for a picture.
        pictures: (seconds, RGB uint8 [S, S, 3]) of some moments.
    """

    source: str
    labels: Sequence[str]
    stretches: Sequence[Stretch]
    peaks: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    peak_seconds: float = 0.1
    pictures: Sequence[tuple[float, NDArray[np.uint8]]] = ()

    @property
    def seconds(self) -> float:
        """The end of the last stretch."""
        return self.stretches[-1].end if self.stretches else 0.0


def stretches(answers: Sequence[Answered], labels: Sequence[str], smooth: float = 0.0) -> list[Stretch]:
    """What holds between every two edges of windows.

    Args:
        answers: in the order of their beginnings.
        smooth: seconds; the distribution of a stretch becomes the mean of all that lie within half of it to either
            side of its middle, by their length, of the same speaker. 0: not smoothed.
    """
    edges = sorted({round(edge, 3) for one in answers for edge in (one.start, one.end)})
    found: list[Stretch] = []
    waiting = list(answers)
    covering: list[Answered] = []
    at = 0
    for start, end in pairwise(edges):
        while at < len(waiting) and waiting[at].start <= start + 1e-3:
            covering.append(waiting[at])
            at += 1
        covering = [one for one in covering if one.end >= end - 1e-3]
        if not covering:
            continue
        known = [one for one in covering if one.probabilities is not None]
        mean = _mean([(one.probabilities, 1.0) for one in known if one.probabilities is not None])
        found.append(_stretch(start, end, mean, labels, (known or covering)[-1].speaker))
    return smoothed(found, labels, smooth) if smooth > 0 else found


def smoothed(parts: Sequence[Stretch], labels: Sequence[str], seconds: float) -> list[Stretch]:
    """Each stretch with the mean of its neighbours within half of `seconds`; those without an answer stay so."""
    found, low = [], 0
    for one in parts:
        middle = (one.start + one.end) / 2
        while low < len(parts) and parts[low].end < middle - seconds / 2:
            low += 1
        near: list[tuple[tuple[float, ...], float]] = []
        for other in parts[low:]:
            if other.start > middle + seconds / 2:
                break
            inside = min(other.end, middle + seconds / 2) - max(other.start, middle - seconds / 2)
            if other.probabilities is not None and other.speaker == one.speaker and inside > 0:
                near.append((other.probabilities, inside))
        mean = None if one.probabilities is None else _mean(near) or one.probabilities
        found.append(_stretch(one.start, one.end, mean, labels, one.speaker))
    return found


def merged(parts: Sequence[Stretch]) -> list[Stretch]:
    """Neighbours of one label and speaker as one, with the mean of their distributions: what subtitles show."""
    found: list[Stretch] = []
    weights: list[float] = []
    for one in parts:
        last = found[-1] if found else None
        same = last is not None and (last.label, last.speaker) == (one.label, one.speaker)
        if last is None or not same or one.start - last.end > 1e-3:
            found.append(one)
            weights.append(one.end - one.start)
            continue
        length = one.end - one.start
        pairs = [(p, w) for p, w in ((last.probabilities, weights[-1]), (one.probabilities, length)) if p is not None]
        found[-1] = replace(last, end=one.end, probabilities=_mean(pairs))
        weights[-1] += length
    return found


def _mean(weighted: Sequence[tuple[tuple[float, ...], float]]) -> tuple[float, ...] | None:
    if not weighted:
        return None
    total = sum(weight for _, weight in weighted)
    columns = zip(*(row for row, _ in weighted), strict=True)
    weights = [weight / total for _, weight in weighted]
    return tuple(sum(value * w for value, w in zip(column, weights, strict=True)) for column in columns)


def _stretch(
    start: float, end: float, mean: tuple[float, ...] | None, labels: Sequence[str], speaker: str | None
) -> Stretch:
    label = None if mean is None else labels[mean.index(max(mean))]
    return Stretch(start, end, mean, label, speaker)
