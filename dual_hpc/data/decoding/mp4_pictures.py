"""The coded pictures of a plain mp4 with one H.264 stream, found without a demuxer.

To open a file, FFmpeg's demuxer decodes its first pictures, and each coded picture passes through Python whether it is
wanted or not: for a short clip that takes a third of the time of decoding it. What packing writes is plain: one track,
one edit that keeps every picture. Anything else is left to FFmpeg (`disposable.py`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.h264_units import LENGTH_BYTES, NotPlainError, Span

Numbers = NDArray[np.int64]

_BOX = struct.Struct(">I4s")  # size with this header, type
_ENTRY = 78  # bytes of a video's sample entry before the boxes in it


@dataclass(frozen=True)
class Mp4Pictures:
    """Pictures of a file in order of decoding.

    Attributes:
        header: the decoder's configuration (avcC).
        unit: seconds of a time stamp's 1.
        stamps: when each is shown, [n]; all differ.
        spans: where each lies in the file, [n, 2].
    """

    header: bytes
    unit: Fraction
    stamps: Numbers
    spans: Numbers


def read_mp4(data: bytes) -> Mp4Pictures:
    """What `data`, a whole file, holds.

    Raises:
        NotPlainError: several tracks, fragments, edits that leave something out, another codec, or damage.
    """
    try:
        return _read(data)
    except (KeyError, IndexError, struct.error, ValueError) as error:
        raise NotPlainError(str(error)) from error


def _read(data: bytes) -> Mp4Pictures:
    top = _boxes(data, (0, len(data)))
    movie = _boxes(data, top[b"moov"])
    track = _boxes(data, movie[b"trak"])
    media = _boxes(data, track[b"mdia"])
    tables = _boxes(data, _boxes(data, media[b"minf"])[b"stbl"])
    if b"mvex" in movie or b"moof" in top or data[slice(*media[b"hdlr"])][8:12] != b"vide":
        raise NotPlainError("not one whole video")
    scale = _timescale(data, media[b"mdhd"])
    sizes = _sizes(data, tables[b"stsz"])
    decoded: Numbers = np.concatenate([np.zeros(1, np.int64), np.cumsum(_runs(data, tables[b"stts"], len(sizes)))[:-1]])
    delays = _runs(data, tables[b"ctts"], len(sizes)) if b"ctts" in tables else 0
    stamps: Numbers = decoded + delays
    first, end = 0.0, np.inf
    if b"edts" in track:
        seconds, first = _edit(data, _boxes(data, track[b"edts"])[b"elst"])
        end = first + seconds * scale // _timescale(data, movie[b"mvhd"])
    if not (len(stamps) and first <= stamps.min() == stamps[0] and stamps.max() < end):
        raise NotPlainError("pictures that are not shown")
    if len(np.unique(stamps)) < len(stamps):
        raise NotPlainError("pictures that are shown at the same time")
    begins = _places(data, tables, sizes)
    spans = np.stack([begins, begins + sizes], axis=1)
    if (sizes <= 0).any() or spans.max() > len(data):
        raise NotPlainError("pictures outside of the file")
    return Mp4Pictures(_configuration(data, tables[b"stsd"]), Fraction(1, scale), stamps, spans)


def _boxes(data: bytes, span: Span) -> dict[bytes, Span]:
    """Type -> where its content lies. What comes twice, or is larger than 4 GB, is not plain."""
    found: dict[bytes, Span] = {}
    at, end = span
    while at < end:
        size, kind = _BOX.unpack_from(data, at)
        if size < _BOX.size or at + size > end or (kind in found and kind in (b"moov", b"trak", b"mdat", b"avcC")):
            raise NotPlainError(f"box {kind!r} of {size} bytes")
        found[kind] = (at + _BOX.size, at + size)
        at += size
    return found


def _timescale(data: bytes, span: Span) -> int:
    """Units per second, of mvhd or mdhd."""
    scale: int = struct.unpack_from(">I", data, span[0] + (20 if data[span[0]] else 12))[0]
    if not scale:
        raise NotPlainError("no unit of time")
    return scale


def _edit(data: bytes, span: Span) -> tuple[int, int]:
    """The only edit: (how long, in the movie's units; from which time stamp on)."""
    form = ">QqI" if data[span[0]] else ">IiI"
    count, length, begin, rate = struct.unpack_from(">I" + form[1:], data, span[0] + 4)
    if count != 1 or begin < 0 or not length or rate != 1 << 16:
        raise NotPlainError("edits")
    return length, begin


def _table(data: bytes, at: int, end: int, columns: int) -> Numbers:
    """Rows of 32 bit numbers after their count, [n, columns]."""
    (count,) = struct.unpack_from(">I", data, at)
    if count * columns * 4 > end - at - 4:
        raise NotPlainError("a table is cut off")
    return np.frombuffer(data, ">i4", count * columns, at + 4).astype(np.int64).reshape(count, columns)


def _runs(data: bytes, span: Span, count: int) -> Numbers:
    """A number for each picture, stored as (how often, number)."""
    rows = _table(data, span[0] + 4, span[1], 2)
    if (rows[:, 0] < 0).any() or rows[:, 0].sum() != count:
        raise NotPlainError("a table for other pictures")
    return np.repeat(rows[:, 1], rows[:, 0])


def _sizes(data: bytes, span: Span) -> Numbers:
    """Bytes of each picture."""
    common, count = struct.unpack_from(">II", data, span[0] + 4)
    if common * count > len(data):
        raise NotPlainError("pictures outside of the file")
    return np.full(count, common, np.int64) if common else _table(data, span[0] + 8, span[1], 1)[:, 0]


def _places(data: bytes, tables: dict[bytes, Span], sizes: Numbers) -> Numbers:
    """Where each picture begins: pictures of a chunk follow each other."""
    chunks = _table(data, tables[b"stco"][0] + 4, tables[b"stco"][1], 1)[:, 0]
    rows = _table(data, tables[b"stsc"][0] + 4, tables[b"stsc"][1], 3)
    repeats = np.diff([*rows[:, 0], len(chunks) + 1])
    if rows[0, 0] != 1 or (repeats <= 0).any() or (rows[:, 1] <= 0).any() or (rows[:, 2] != 1).any():
        raise NotPlainError("chunks")
    inside = np.repeat(rows[:, 1], repeats)  # pictures of each chunk
    if inside.sum() != len(sizes) or (chunks < 0).any():
        raise NotPlainError("chunks for other pictures")
    firsts = np.cumsum(inside) - inside
    ends = np.cumsum(sizes)
    within = ends - sizes
    return np.repeat(chunks - within[firsts], inside) + within


def _configuration(data: bytes, span: Span) -> bytes:
    """The decoder's configuration of the only sample entry."""
    if struct.unpack_from(">I", data, span[0] + 4)[0] != 1:
        raise NotPlainError("several codecs")
    entries = _boxes(data, (span[0] + 8, span[1]))
    entry = _boxes(data, (entries[b"avc1"][0] + _ENTRY, entries[b"avc1"][1]))
    if b"colr" in entry:
        raise NotPlainError("colours that the stream may not tell")
    header = data[slice(*entry[b"avcC"])]
    if header[0] != 1 or (header[4] & 3) + 1 != LENGTH_BYTES:
        raise NotPlainError("units of other lengths")
    return header
