"""Which frames and how much audio represent a clip: one rule for training and prediction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.members import AUDIO_RATE

STAMP_TOLERANCE = 1e-6  # seconds by which a picture may appear late and still be on show: time stamps are rounded


def audio_samples(max_seconds: float) -> int:
    """Samples of the longest waveform."""
    return int(max_seconds * AUDIO_RATE)


def frame_times(duration: float, video_hz: float, max_seconds: float) -> NDArray[np.float64]:
    """Seconds of the frames of a clip, [F] with F >= 1: (k + 0.5) / video_hz inside the first `max_seconds`."""
    seconds = min(duration, max_seconds)
    count = max(1, math.ceil(seconds * video_hz - 0.5 - 1e-6))
    times: NDArray[np.float64] = (np.arange(count, dtype=np.float64) + 0.5) / video_hz
    return times


def pictures_at(stamps: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which picture is on show at each of the times: the last that has appeared, and before the first the first.

    Args:
        stamps: seconds at which the pictures appear, ascending, [n] with n >= 1.
        times: seconds, ascending, [F].

    Returns:
        Numbers of pictures, ascending, [F].
    """
    return np.maximum(np.searchsorted(stamps, times + STAMP_TOLERANCE, side="right") - 1, 0)
