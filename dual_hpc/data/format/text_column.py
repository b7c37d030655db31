"""Texts of different lengths in two arrays: their bytes one after the other, and where each begins."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class TextColumn:
    """A sequence of byte strings.

    Args:
        offsets: of each text in `data`, and the end of the last, i64 [n + 1].
        data: u8 [offsets[-1]].
    """

    def __init__(self, offsets: NDArray[np.int64], data: NDArray[np.uint8]):
        self.offsets, self.data = offsets, data

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> TextColumn:
        """The column of these texts."""
        found = list(texts)
        offsets = np.fromiter(itertools.accumulate(map(len, found), initial=0), np.int64, len(found) + 1)
        return cls(offsets, np.frombuffer(b"".join(found), np.uint8))

    @classmethod
    def taken(cls, parts: list[TextColumn]) -> TextColumn:
        """The texts of all parts, in order; the list is emptied, so that they are not held twice for long."""
        lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)])
        data = np.concatenate([np.zeros(0, np.uint8), *(part.data for part in parts)])
        parts.clear()
        return cls(np.cumsum(lengths, out=lengths), data)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        """Text `number`, 0 <= number < len."""
        begin, end = self.offsets[number : number + 2].tolist()
        return self.data[begin:end].tobytes()

    def to_list(self) -> list[bytes]:
        """All texts."""
        data, bounds = self.data.tobytes(), self.offsets.tolist()
        return [data[begin:end] for begin, end in itertools.pairwise(bounds)]

    def is_sound(self) -> bool:
        """Whether every text lies within the data, and is ASCII."""
        ends = self.offsets
        if len(ends) < 1 or ends[0] != 0 or ends[-1] != len(self.data) or (np.diff(ends) < 0).any():
            return False
        return len(self.data) == 0 or int(self.data.max()) < 128
