"""The windows of a file that cannot seek, read in one pass instead of from the file's beginning for each.

Within `with reading:`, whoever asks for a stretch of such a file gets it from the frames that are kept since the
stretch before, and from where the pass has come to. Kept is what a stretch that begins no earlier may need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dual_hpc.data.decoding.container import Findings

_LEADS = {"audio": 1.0, "video": 0.0}  # seconds of a stream that are given before a wanted stretch
_MOST_BYTES = 1 << 29  # of kept frames of a stream; where windows need more (4K), each begins a pass again
Frames = Iterator[tuple[float, Any]]


class ForwardReading:
    """The passes over files, one for each stream, until `close`."""

    def __init__(self) -> None:
        self._passes: dict[tuple[str, str], _Pass] = {}
        self._tokens: list[Token[ForwardReading | None]] = []

    def __enter__(self) -> ForwardReading:
        self._tokens.append(_CURRENT.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._tokens.pop())

    def close(self) -> None:
        """Close the files."""
        for one in self._passes.values():
            one.close()
        self._passes.clear()

    def has(self, path: str, kind: str) -> bool:
        """True of a stream that is read in one pass."""
        return (path, kind) in self._passes

    def frames(self, path: str, kind: str, start: float, begin: Callable[[], tuple[Frames, Findings]]) -> _Pass:
        """The pass over a stream, which has what is on show and sounds from `start` on.

        Args:
            kind: "audio" or "video".
            begin: reads the stream from its beginning; what it gives is noted in the findings.
        """
        known = self._passes.get((path, kind))
        if known is None or not known.reaches(start):
            if known is not None:
                known.close()
            known = self._passes[path, kind] = _Pass(*begin(), _LEADS[kind])
        return known


_CURRENT: ContextVar[ForwardReading | None] = ContextVar("forward_reading", default=None)


def current() -> ForwardReading | None:
    """The one within whose `with` this is called."""
    return _CURRENT.get()


class _Pass:
    """One pass over a stream, and its last frames."""

    def __init__(self, frames: Frames, findings: Findings, lead: float) -> None:
        self.findings = findings
        self._frames, self._lead = frames, lead
        self._kept: deque[tuple[float, Any]] = deque()
        self._bytes = 0
        self._dropped = False
        self._failure: Exception | None = None

    def reaches(self, start: float) -> bool:
        """True where nothing was dropped that a stretch from `start` on needs."""
        return not self._dropped or (bool(self._kept) and self._kept[0][0] <= start - self._lead)

    def frames_from(self, start: float) -> Frames:
        """(seconds, frame) from at or before `start` on, to the end; errors as those of the pass, each time."""
        first = start - self._lead
        while (not self._kept or self._kept[-1][0] <= first) and self._next():
            self._drop(first)
        self._drop(first)
        yield from list(self._kept)
        while self._next():
            yield self._kept[-1]
        if self._failure is not None:
            raise self._failure

    def _next(self) -> bool:
        try:
            found = None if self._failure is not None else next(self._frames, None)
        except Exception as error:  # told whoever asks for what comes after
            self._failure, found = error, None
        if found is None:
            return False
        self._kept.append(found)
        self._bytes += _size(found[1])
        while self._bytes > _MOST_BYTES and len(self._kept) > 1:
            self._drop_first()
        return True

    def _drop(self, first: float) -> None:
        while len(self._kept) > 1 and self._kept[1][0] <= first:
            self._drop_first()

    def _drop_first(self) -> None:
        self._bytes -= _size(self._kept.popleft()[1])
        self._dropped = True

    def close(self) -> None:
        self._kept.clear()
        close: Callable[[], None] = getattr(self._frames, "close", lambda: None)
        close()


def _size(frame: Any) -> int:
    return sum(plane.buffer_size for plane in frame.planes)
