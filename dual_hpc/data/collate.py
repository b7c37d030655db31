"""Samples -> one zero-padded batch of numpy arrays; see DESIGN for the keys and shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dual_hpc.data.dataset import Request, Sample

Shape = tuple[int, ...]
Allocate = Callable[[dict[str, tuple[Shape, DTypeLike]]], dict[str, NDArray[Any]]]


@dataclass
class MicroBatch:
    """What was asked for and what came of it: arrays of `collate`, transcripts, and why rows are blank."""

    rows: list[Request]
    arrays: dict[str, NDArray[Any]]
    texts: list[str | None]
    faults: dict[int, str]  # row -> reason


def zeros(layout: dict[str, tuple[Shape, DTypeLike]]) -> dict[str, NDArray[Any]]:
    """Arrays of this process; workers allocate memory that is shared with their parent instead."""
    return {name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()}


def collate(samples: Sequence[Sample], image_size: int, allocate: Allocate = zeros) -> dict[str, NDArray[Any]]:
    """Pad to the longest row; every padded axis is at least 1 long so that no kernel meets an empty tensor.

    Returns:
        waveform f32 [B,N], waveform_lengths i64 [B], frames u8 [B,F,3,S,S], frame_lengths i64 [B], durations f32 [B];
        feature shards instead of media: NAME [B,T,D] and NAME_lengths i64 [B] per member, and durations.
    """
    rows = len(samples)
    layout: dict[str, tuple[Shape, DTypeLike]] = {"durations": ((rows,), np.float32)}
    features = {name: array for sample in samples for name, array in sample.features.items()}
    if features:
        for name, example in features.items():
            longest = max(len(s.features.get(name, ())) for s in samples)
            layout[name] = ((rows, longest, example.shape[1]), example.dtype)
            layout[f"{name}_lengths"] = ((rows,), np.int64)
    else:
        longest = max(1, *(len(s.waveform) for s in samples))
        pictures = max(1, *(_pictures(s) for s in samples))
        layout["waveform"] = ((rows, longest), np.float32)
        layout["waveform_lengths"] = ((rows,), np.int64)
        layout["frames"] = ((rows, pictures, 3, image_size, image_size), np.uint8)
        layout["frame_lengths"] = ((rows,), np.int64)
    batch = allocate(layout)
    for row, sample in enumerate(samples):
        batch["durations"][row] = sample.duration
        for name in features:
            array = sample.features.get(name, ())
            batch[f"{name}_lengths"][row] = len(array)
            batch[name][row, : len(array)] = array
        if not features:
            batch["waveform_lengths"][row] = len(sample.waveform)
            batch["waveform"][row, : len(sample.waveform)] = sample.waveform
            batch["frame_lengths"][row] = _pictures(sample)
            if sample.frames is not None:
                batch["frames"][row, : len(sample.frames)] = sample.frames.transpose(0, 3, 1, 2)
    return batch


def _pictures(sample: Sample) -> int:
    return 0 if sample.frames is None else len(sample.frames)
