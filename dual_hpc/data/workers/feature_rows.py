"""Micro-batches of features, from the tars to their memory without an object for each array.

What the index says of a sample's members is enough to lay out the batch, if they are written as `numpy.save` writes
them. Then a sample is read at once, its checksums and numbers are checked where they were read, and its arrays are
copied once, into the batch; those of several encoders are put side by side before. Whatever is not as expected, be it
damage or another writer, is `NotPlain`: the batch is then made sample by sample (`decoder.py`), which gives the same
bits or says what is wrong.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.decode import DecodeError, decode_text
from dual_hpc.data.decoding.decoder import DecodeConfig, Request, SampleDecoder, joined_features
from dual_hpc.data.format.members import TEXT, StoredArray
from dual_hpc.data.format.reader import SampleReader, SampleRef, is_intact
from dual_hpc.data.layout import Layout, arrange
from dual_hpc.side_by_side import common_steps

_HEADER = 128  # bytes, of numpy.save for every array of two dimensions
# Of each type of number, the bits that are all set in what is infinite or not a number.
_EXPONENT: dict[str, np.unsignedinteger[Any]] = {
    "<f2": np.uint16(0x7C00),
    "<f4": np.uint32(0x7F80_0000),
    "<f8": np.uint64(0x7FF0_0000_0000_0000),
}


class NotPlain(Exception):
    """A member is not what the index promises of a plain one."""


@dataclass
class FeatureRows:
    """A micro-batch to be read.

    Attributes:
        texts: of each row; complete when all has been read.
    """

    layout: Layout
    rows: list[tuple[SampleRef, dict[str, tuple[int, int]]] | None]
    texts: list[str | None] = field(default_factory=list)


class FeatureReader:
    """Plans micro-batches of feature shards, and reads them.

    Args:
        decode_config: with the features of the shards.
        decoder: says which members of a sample are used.
    """

    def __init__(self, decode_config: DecodeConfig, decoder: SampleDecoder, reader: SampleReader):
        self._features, self._layout = decode_config.features, decode_config.layout
        self._settings = decode_config.settings
        self._arrays = {one.member: (name, one) for name, arrays in decode_config.features.items() for one in arrays}
        self._decoder, self._reader = decoder, reader

    def plan(self, requests: Sequence[Request]) -> FeatureRows | None:
        """How the batch will lie in memory; None if the index does not say."""
        if any(width < 1 or dtype not in _EXPONENT for width, dtype in self._layout.values()):
            return None
        rows: list[tuple[SampleRef, dict[str, tuple[int, int]]] | None] = []
        lengths: dict[str, list[int]] = {name: [0] * len(requests) for name in self._layout}
        for row, request in enumerate(requests):
            if request.failures:
                return None
            if request.ref is None:
                rows.append(None)
                continue
            wanted = self._decoder.members_to_read(request)
            spans = {extension: span for extension, span in request.ref.members.items() if extension in wanted}
            found: dict[str, int] = {}  # member -> steps
            for extension, (_, size) in spans.items():
                if extension == TEXT:
                    continue
                if extension not in self._arrays:
                    return None
                found[extension], rest = divmod(size - _HEADER, _step_bytes(self._arrays[extension][1]))
                if found[extension] < 1 or rest:
                    return None
            for name, arrays in self._features.items():
                own = [found.get(one.member, 0) for one in arrays]
                lengths[name][row] = common_steps(own, [one.hz for one in arrays])
            rows.append((request.ref, spans))
        most = self._settings.max_seconds
        durations = [0.0 if request.ref is None else min(request.ref.duration, most) for request in requests]
        return FeatureRows(arrange(durations, lengths, self._settings.image_size, self._layout), rows)

    def contents(self, plan: FeatureRows, reading: Callable[[int], None]) -> Iterator[tuple[int, memoryview]]:
        """(offset, bytes) of each array of the batch, each good until the next is asked for.

        Args:
            reading: told the row before each is read.

        Raises:
            NotPlain: see above.
            UserError, EnvironmentFault: as the reader raises.
        """
        plan.texts = [None] * len(plan.rows)
        for row, wanted in enumerate(plan.rows):
            if wanted is None or not wanted[1]:
                continue
            reading(row)
            ref, spans = wanted
            parts: dict[str, NDArray[Any]] = {}
            for extension, data in self._reader.views(ref, spans):
                if not is_intact(ref, extension, data):
                    raise NotPlain
                if extension == TEXT:
                    plan.texts[row] = _text(data)
                    continue
                name, one = self._arrays[extension]
                numbers = data[_HEADER:]
                length = len(numbers) // _step_bytes(one)
                exponent = _EXPONENT[one.dtype]
                if data[:_HEADER] != _header(length, one.width, one.dtype):
                    raise NotPlain
                if (np.frombuffer(numbers, exponent.dtype) & exponent).max() == exponent:
                    raise NotPlain
                if len(self._features[name]) > 1:
                    parts[extension] = np.frombuffer(numbers, one.dtype).reshape(length, one.width).copy()
                    continue
                yield _place(plan.layout, name, row), numbers
            for name, arrays in self._features.items() if parts else ():
                if any(one.member in parts for one in arrays):
                    joined = joined_features(arrays, parts)
                    yield _place(plan.layout, name, row), joined.data.cast("B")


def _step_bytes(one: StoredArray) -> int:
    return one.width * np.dtype(one.dtype).itemsize


def _place(layout: Layout, name: str, row: int) -> int:
    """Where a row of an array begins."""
    block = layout.blocks[name]
    return block.offset + row * block.row_size


def _text(data: memoryview) -> str | None:
    try:
        return decode_text(bytes(data)) or None
    except DecodeError as error:
        raise NotPlain from error


@lru_cache(maxsize=4096)
def _header(length: int, width: int, dtype: str) -> bytes:
    """What `numpy.save` writes before the numbers of an array [length, width]."""
    file = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": (length, width)}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()
