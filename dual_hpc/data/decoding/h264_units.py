"""Units of H.264 (NAL units) of a coded picture, as mp4 stores them: do other pictures need it, does it need others?"""

from __future__ import annotations

from collections.abc import Iterator

Span = tuple[int, int]  # first byte, and the one after the last

LENGTH_BYTES = 4  # before each unit
_REFERENCE = 0x60  # bits of a unit's first byte (H.264, 7.3.1): nal_ref_idc, 0 if no other picture refers to it
_TYPE = 0x1F  # nal_unit_type
_PLAIN_SLICE, _KEY_SLICE = 1, 5
_INFORMATION = (6, 9, 12)  # types that no other unit depends on: SEI, delimiters, filler


class NotPlainError(ValueError):
    """The file needs a demuxer, or it is damaged."""


def is_disposable(data: bytes, span: Span) -> bool:
    """True if no picture refers to this one, and all that it holds says so.

    Raises:
        NotPlainError: the units of the picture do not fill it.
    """
    return all(
        kind in _INFORMATION or (kind == _PLAIN_SLICE and not reference) for kind, reference in _units(data, span)
    )


def is_key(data: bytes, span: Span) -> bool:
    """True if decoding can begin at this picture.

    Raises:
        NotPlainError: as `is_disposable`.
    """
    slices = [kind for kind, _ in _units(data, span) if _PLAIN_SLICE <= kind <= _KEY_SLICE]
    return bool(slices) and set(slices) == {_KEY_SLICE}


def _units(data: bytes, span: Span) -> Iterator[tuple[int, int]]:
    """(type, is it a reference) of each unit."""
    at, end = span
    while at < end:
        length = int.from_bytes(data[at : at + LENGTH_BYTES], "big")
        if not 0 < length <= end - at - LENGTH_BYTES:
            raise NotPlainError("a unit ends after its picture")
        first = data[at + LENGTH_BYTES]
        yield first & _TYPE, first & _REFERENCE
        at += LENGTH_BYTES + length
