"""What the data room reads of the configuration.

`dual_hpc.data` imports no other room, so it names the keys it needs instead of the sections that hold them;
`DataConfig` and `AugmentConfig` have these shapes, and so has any plain object in a test.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal, Protocol


class DecodeSettings(Protocol):
    """How a sample becomes arrays."""

    max_seconds: float
    video_hz: float
    image_size: int


class LoaderSettings(DecodeSettings, Protocol):
    """How samples become batches."""

    max_tokens: int
    global_batch: int
    micro_batch: int
    workers: int | Literal["auto"]
    read_ahead: int
    shuffle_window: int
    bad_sample_limit: int
    bucket_by_length: bool


class AugmentSettings(Protocol):
    """How training changes a sample; see `AugmentConfig` for units."""

    enabled: bool
    gain_db: float
    noise_prob: float
    noise_snr_db: tuple[float, float]
    time_mask_prob: float
    time_mask_seconds: float
    speed: float
    cut_ends: float
    equalizer_db: float
    band_masks: int
    band_mask_share: float
    flip_prob: float
    crop_fraction: float
    colour: float
    frame_drop_prob: float
    token_drop_prob: float
    drop_audio: float
    drop_video: float
    drop_text: float


def plain_copy(settings: Any, shape: type) -> Any:
    """A plain object with the keys of `shape` alone."""
    return SimpleNamespace(**{name: getattr(settings, name) for name in shape.__annotations__})
