"""How many videos each decoder has decoded: what reads them decides the pixels, and is told in the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

PYAV = "PyAV"


class DecoderCounts:
    """Videos by the decoder that decoded them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int]) -> None:
        """Add what `count` gave for some samples."""
        self._counts.update(counts)

    def as_dict(self) -> dict[str, int]:
        """Decoder -> videos, most first."""
        return dict(self._counts.most_common())

    def __str__(self) -> str:
        return ", ".join(f"{name} {videos}" for name, videos in self.as_dict().items()) or "none"


def count(decoders: Iterable[str | None]) -> dict[str, int]:
    """Videos per decoder; None: a sample without video."""
    return dict(Counter(decoder for decoder in decoders if decoder is not None))
