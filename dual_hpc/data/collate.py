"""Samples -> one zero-padded batch of numpy arrays; see docs/house.md for the keys and shapes.

A batch is laid out from the lengths of its rows before their content is there, so that what a worker decoded is
received straight into its place.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dual_hpc.data.dataset import Fault, Request, Sample

FeatureLayout = dict[str, tuple[int, str]]  # name -> (D, dtype)
Arrays = dict[str, NDArray[Any]]


@dataclass
class MicroBatch:
    """What was asked for and what came of it: arrays of `collate`, transcripts, and why rows are blank."""

    rows: list[Request]
    arrays: Arrays
    texts: list[str | None]
    faults: dict[int, Fault]  # by row


@dataclass(frozen=True)
class Extent:
    """What the shapes of a batch follow from.

    Attributes:
        durations: seconds, per row.
        lengths: array of the batch -> length in each row, 0 where it is missing.
    """

    durations: list[float]
    lengths: dict[str, list[int]]


def collate(samples: Sequence[Sample], image_size: int, features: FeatureLayout | None = None) -> Arrays:
    """Pad to the longest row; every padded axis is at least 1 long so that no kernel meets an empty tensor.

    Args:
        features: arrays of a feature shard, name -> (D, dtype); none for media. The keys of a batch do not depend on
            what its rows happen to have.

    Returns:
        durations f32 [B], and for media waveform f32 [B,N], waveform_lengths i64 [B], frames u8 [B,F,3,S,S],
        frame_lengths i64 [B]; for features NAME [B,T,D] and NAME_lengths i64 [B] each. `frames` is a view of memory
        with the colours innermost, as pictures are decoded.
    """
    extent = extent_of(samples, features or {})
    batch = blank_batch(extent, image_size, features or {})
    for place, content in zip(places(batch, extent), contents(samples, extent), strict=True):
        place[...] = content
    return batch


def extent_of(samples: Sequence[Sample], features: FeatureLayout) -> Extent:
    """The extent of the samples' batch."""
    names = list(features) or ["waveform", "frames"]
    return Extent([s.duration for s in samples], {name: [len(_content(s, name)) for s in samples] for name in names})


def blank_batch(extent: Extent, image_size: int, features: FeatureLayout) -> Arrays:
    """The batch of `collate`, complete but for the contents."""
    rows = len(extent.durations)
    batch: Arrays = {"durations": np.array(extent.durations, np.float32)}
    for name, lengths in extent.lengths.items():
        longest = max(1, *lengths)
        if name == "waveform":
            batch[name] = _zeros((rows, longest), np.float32)
        elif name == "frames":
            pictures = _zeros((rows, longest, image_size, image_size, 3), np.uint8)
            batch[name] = pictures.transpose(0, 1, 4, 2, 3)
        else:
            width, dtype = features[name]
            batch[name] = _zeros((rows, longest, width), dtype)
        batch["frame_lengths" if name == "frames" else f"{name}_lengths"] = np.array(lengths, np.int64)
    return batch


def places(batch: Arrays, extent: Extent) -> Iterator[NDArray[Any]]:
    """Where the contents belong, C-contiguous each: array by array, row by row, without what is missing."""
    for name, lengths in extent.lengths.items():
        array = batch[name].transpose(0, 1, 3, 4, 2) if name == "frames" else batch[name]
        yield from (array[row, :length] for row, length in enumerate(lengths) if length)


def contents(samples: Sequence[Sample], extent: Extent) -> Iterator[NDArray[Any]]:
    """What belongs into `places`, in the same order."""
    for name in extent.lengths:
        yield from (content for sample in samples if len(content := _content(sample, name)))


def _content(sample: Sample, name: str) -> NDArray[Any]:
    if name == "waveform":
        return sample.waveform
    if name == "frames":
        return _NOTHING if sample.frames is None else sample.frames
    return sample.features.get(name, _NOTHING)


def _zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Like `np.zeros`, in pages of its own: padding that nobody writes takes none, and all go back when it is freed."""
    bytes_needed = math.prod(shape) * np.dtype(dtype).itemsize
    pages = mmap.mmap(-1, bytes_needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype).reshape(shape)


_NOTHING: NDArray[Any] = np.zeros(0, np.uint8)
