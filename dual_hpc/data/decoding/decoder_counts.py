"""How many videos each decoder has decoded: a decoder that fails on every one of them costs time and is not noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

DECORD = "decord"
PYAV = "PyAV"  # chosen before, because decord cannot give pictures of that size
FALLBACK = "PyAV after decord failed"
_ENOUGH = 20  # failures without a success: not a few damaged videos


class DecoderCounts:
    """Videos by the decoder that decoded them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._warned = False

    def add(self, counts: Mapping[str, int]) -> None:
        """Add what `count` gave for some samples."""
        self._counts.update(counts)

    def as_dict(self) -> dict[str, int]:
        """Decoder -> videos, most first."""
        return dict(self._counts.most_common())

    def __str__(self) -> str:
        return ", ".join(f"{name} {videos}" for name, videos in self.as_dict().items()) or "none"

    def warning(self) -> str | None:
        """A line if decord has failed on every video so far, and that cannot be chance; the same once only."""
        failed = self._counts[FALLBACK]
        if self._warned or self._counts[DECORD] or failed < _ENOUGH:
            return None
        self._warned = True
        return (
            f"decord failed on each of the first {failed} videos, which PyAV then decoded: each costs two attempts; "
            "check the installation of decord with `dual-hpc doctor`, and the shards with `dual-hpc inspect --verify`"
        )


def count(decoders: Iterable[str | None]) -> dict[str, int]:
    """Videos per decoder; None: a sample without video."""
    return dict(Counter(decoder for decoder in decoders if decoder is not None))
