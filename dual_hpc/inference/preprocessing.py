"""How a sample was decoded in training, as a saved model says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dual_hpc.data.format.members import AUDIO_RATE


@dataclass(frozen=True)
class Preprocessing:
    """`EmotionConfig.preprocessing` by name and unit."""

    image_size: int
    video_hz: float
    max_seconds: float
    max_tokens: int
    sample_rate: int = AUDIO_RATE

    @classmethod
    def of(cls, preprocessing: Mapping[str, Any]) -> Preprocessing:
        """Those of a saved model; keys of later versions are ignored."""
        return cls(**{one.name: preprocessing[one.name] for one in fields(cls) if one.name in preprocessing})
