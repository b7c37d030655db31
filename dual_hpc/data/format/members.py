"""What the members of a sample in a tar are called, and how its audio is stored (contract 1)."""

from __future__ import annotations

AUDIO_RATE = 16_000  # Hz, mono
AUDIO, VIDEO, TEXT, META = "flac", "mp4", "txt", "json"  # member extensions of one sample in a tar

FEATURES = ".npy"  # ending of the members of feature shards: audio.npy, video.npy, text.npy instead of media
