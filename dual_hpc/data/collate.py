"""Samples -> one zero-padded batch of numpy arrays; see DESIGN for the keys and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dual_hpc.data.dataset import Request, Sample

FeatureLayout = dict[str, tuple[int, str]]  # name -> (D, dtype)


@dataclass
class MicroBatch:
    """What was asked for and what came of it: arrays of `collate`, transcripts, and why rows are blank."""

    rows: list[Request]
    arrays: dict[str, NDArray[Any]]
    texts: list[str | None]
    faults: dict[int, str]  # row -> reason


def collate(
    samples: Sequence[Sample], image_size: int, features: FeatureLayout | None = None
) -> dict[str, NDArray[Any]]:
    """Pad to the longest row; every padded axis is at least 1 long so that no kernel meets an empty tensor.

    Args:
        features: arrays of a feature shard, name -> (D, dtype); none for media. The keys of a batch do not depend on
            what its rows happen to have.

    Returns:
        durations f32 [B], and for media waveform f32 [B,N], waveform_lengths i64 [B], frames u8 [B,F,3,S,S],
        frame_lengths i64 [B]; for features NAME [B,T,D] and NAME_lengths i64 [B] each.
    """
    rows, features = len(samples), features or {}
    layout: dict[str, tuple[tuple[int, ...], DTypeLike]] = {"durations": ((rows,), np.float32)}
    lengths = {name: [len(s.features.get(name, ())) for s in samples] for name in features}
    if features:
        for name, (width, dtype) in features.items():
            layout[name] = ((rows, max(1, *lengths[name]), width), dtype)
    else:
        lengths = {
            "waveform": [len(s.waveform) for s in samples],
            "frame": [0 if s.frames is None else len(s.frames) for s in samples],
        }
        layout["waveform"] = ((rows, max(1, *lengths["waveform"])), np.float32)
        layout["frames"] = ((rows, max(1, *lengths["frame"]), 3, image_size, image_size), np.uint8)
    layout |= {f"{name}_lengths": ((rows,), np.int64) for name in lengths}
    batch: dict[str, NDArray[Any]] = {name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()}
    batch["durations"][:] = [sample.duration for sample in samples]
    for name, values in lengths.items():
        batch[f"{name}_lengths"][:] = values
    for row, sample in enumerate(samples):
        for name, array in sample.features.items():
            batch[name][row, : len(array)] = array
        if not features:
            batch["waveform"][row, : len(sample.waveform)] = sample.waveform
            if sample.frames is not None:
                batch["frames"][row, : len(sample.frames)] = sample.frames.transpose(0, 3, 1, 2)
    return batch
