"""Which frames and how much audio represent a clip: one rule for training and prediction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.members import AUDIO_RATE


def audio_samples(max_seconds: float) -> int:
    """Samples of the longest waveform."""
    return int(max_seconds * AUDIO_RATE)


def frame_times(duration: float, video_hz: float, max_seconds: float) -> NDArray[np.float64]:
    """Seconds of the frames of a clip, [F] with F >= 1: (k + 0.5) / video_hz inside the first `max_seconds`."""
    seconds = min(duration, max_seconds)
    count = max(1, math.ceil(seconds * video_hz - 0.5 - 1e-6))
    times: NDArray[np.float64] = (np.arange(count, dtype=np.float64) + 0.5) / video_hz
    return times
