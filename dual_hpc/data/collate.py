"""Samples -> one zero-padded batch of numpy arrays; see docs/house.md for the keys and shapes."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dual_hpc.data.decoding.decoder import DecodeFailure, Request, Sample
from dual_hpc.data.layout import Arrays, FeatureLayout, Layout, batch_in, contents, lay_out


@dataclass
class MicroBatch:
    """Requested rows and the result: arrays of `collate`, transcripts, and why rows are blank."""

    rows: list[Request]
    arrays: Arrays
    texts: list[str | None]
    failures: dict[int, DecodeFailure]  # by row
    decoders: dict[str, int] = field(default_factory=dict)  # decoder -> videos (`decoder_counts.py`)


def collate(samples: Sequence[Sample], image_size: int, features: FeatureLayout | None = None) -> Arrays:
    """Pad to the longest row; every padded axis is at least 1 long so that no kernel meets an empty tensor.

    Args:
        features: arrays of a feature shard, name -> (D, dtype); none for media. The keys of a batch do not depend on
            what its rows happen to have.

    Returns:
        durations f32 [B], and for media waveform f32 [B,N], waveform_lengths i64 [B], frames u8 [B,F,3,S,S],
        frame_lengths i64 [B]; for features NAME [B,T,D] and NAME_lengths i64 [B] each. `frames` is a view of memory
        with the colours innermost, as frames are decoded.
    """
    layout = lay_out(samples, image_size, features or {})
    return fill(layout, contents(samples, layout))


def fill(layout: Layout, parts: Iterable[tuple[int, memoryview]]) -> Arrays:
    """The batch of a layout whose memory holds these bytes, each at its offset."""
    # An anonymous mapping: padding that is never written takes no memory, and all is returned when it is freed.
    memory = mmap.mmap(-1, layout.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset, content in parts:
        memory[offset : offset + len(content)] = content
    return batch_in(np.frombuffer(memory, np.uint8), layout)
