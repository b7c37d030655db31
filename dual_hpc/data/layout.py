"""Where the arrays of a zero-padded batch lie in one block of memory.

It follows from the lengths of the rows alone, so that a worker can write what it decoded straight into memory that its
parent then maps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.decoder import Sample

FeatureLayout = dict[str, tuple[int, str]]  # name -> (D, dtype)
Arrays = dict[str, NDArray[Any]]
_ALIGNMENT = 64  # bytes, as torch allocates


class Block(NamedTuple):
    """One padded array."""

    offset: int  # bytes
    lengths: list[int]  # per row, 0 where it is missing
    shape: tuple[int, ...]  # [B, longest, ...]
    dtype: str

    @property
    def row_size(self) -> int:
        """Bytes from row to row."""
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Layout:
    """Shapes, types and offsets of a batch: all but its contents."""

    durations: list[float]  # seconds, per row
    blocks: dict[str, Block]
    size: int  # bytes


def lay_out(samples: Sequence[Sample], image_size: int, features: FeatureLayout) -> Layout:
    """The layout of the samples' batch; features as for `collate`."""
    names = features or ("waveform", "frames")
    lengths = {name: [len(_content(sample, name)) for sample in samples] for name in names}
    return arrange([sample.duration for sample in samples], lengths, image_size, features)


def arrange(durations: list[float], lengths: dict[str, list[int]], image_size: int, features: FeatureLayout) -> Layout:
    """The layout of a batch of rows of these lengths, array by array; otherwise as `lay_out`."""
    arrays: dict[str, tuple[tuple[int, ...], str]] = {
        name: ((width,), kind) for name, (width, kind) in features.items()
    }
    if not features:
        arrays = {"waveform": ((), "<f4"), "frames": ((image_size, image_size, 3), "|u1")}
    blocks, end = {}, 0
    for name, (inner, dtype) in arrays.items():
        own = lengths[name]
        block = Block(-(-end // _ALIGNMENT) * _ALIGNMENT, own, (len(own), max(1, *own), *inner), dtype)
        blocks[name], end = block, block.offset + block.row_size * len(own)
    return Layout(durations, blocks, end)


def contents(samples: Sequence[Sample], layout: Layout) -> Iterator[tuple[int, memoryview]]:
    """(offset, bytes) of all that the samples hold; everything between is zero."""
    for name, block in layout.blocks.items():
        for row, sample in enumerate(samples):
            if len(content := _content(sample, name)):
                yield block.offset + row * block.row_size, np.ascontiguousarray(content).data.cast("B")


def batch_in(memory: NDArray[np.uint8], layout: Layout) -> Arrays:
    """The batch of `collate` whose contents are in the memory [layout.size], without a copy."""
    batch: Arrays = {"durations": np.array(layout.durations, np.float32)}
    for name, block in layout.blocks.items():
        array: NDArray[Any] = np.ndarray(block.shape, block.dtype, memory.data, block.offset)
        batch[name] = array.transpose(0, 1, 4, 2, 3) if name == "frames" else array
        batch["frame_lengths" if name == "frames" else f"{name}_lengths"] = np.array(block.lengths, np.int64)
    return batch


def _content(sample: Sample, name: str) -> NDArray[Any]:
    if name == "waveform":
        return sample.waveform
    if name == "frames":
        return _NOTHING if sample.frames is None else sample.frames
    return sample.features.get(name, _NOTHING)


_NOTHING: NDArray[Any] = np.zeros(0, np.uint8)
