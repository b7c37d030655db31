"""What the members of a sample in a tar are called, and how its audio is stored (contract 1)."""

from __future__ import annotations

from typing import NamedTuple

AUDIO_RATE = 16_000  # Hz, mono
AUDIO, VIDEO, TEXT, META = "flac", "mp4", "txt", "json"  # member extensions of one sample in a tar

FEATURES = ".npy"  # ending of the members of feature shards: audio.npy, video.npy, text.npy instead of media


class StoredArray(NamedTuple):
    """The member that holds an array of features, or a part of one (`feature_sets.py`)."""

    member: str
    width: int
    dtype: str
    hz: float | None  # steps per second; None: not in time
