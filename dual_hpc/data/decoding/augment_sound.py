"""What training does to the sound of an utterance as a whole: cut its ends, play it faster or slower, filter it.

Faster, slower and filtered are one transform to frequencies and back. Cutting and speed move the moments of the sound,
so a sample that shows its pictures is only filtered.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.members import AUDIO_RATE
from dual_hpc.data.settings import AugmentSettings

Wave = NDArray[np.float32]
_SHORTEST = AUDIO_RATE // 5  # samples that are left of a clip in any case, as far as it has them
_POINTS = 64  # of a filter's curve, equally spaced in mel
_SILENT = -80.0  # dB
_KNOTS = 8  # of the equalizer's curve


def augment_sound(wave: Wave, config: AugmentSettings, alone: bool, rng: np.random.Generator) -> Wave:
    """The sound without parts of its ends, at another speed and pitch, filtered; [n] -> [m], m >= 1.

    Args:
        alone: there are no pictures; where there are, moments stay where they are, and m = n.
    """
    ends, pace, knots = rng.random(2), rng.random(), rng.random(_KNOTS)
    if alone:
        wave = _cut(wave, *(config.cut_ends * ends))
    speed = 1 + config.speed * (2 * pace - 1) if alone else 1.0
    return _transformed(wave, speed, _curve(config, knots, rng.random((config.band_masks, 2))))


def _cut(wave: Wave, first: float, last: float) -> Wave:
    """Without these shares of it at its two ends, unless what is left were too short."""
    start, stop = int(first * len(wave)), len(wave) - int(last * len(wave))
    return wave[start:stop] if stop - start >= _SHORTEST else wave


def _transformed(wave: Wave, speed: float, curve: NDArray[np.float64] | None) -> Wave:
    """The sound at another speed, its bands made louder and softer by a curve in dB."""
    if speed == 1 and curve is None:
        return wave
    given = fast_length(len(wave))
    made = given if speed == 1 else fast_length(max(1, round(given / speed)))
    spectrum = np.fft.rfft(wave, given)
    if curve is not None:
        spectrum = spectrum * _gains(curve, given)
    played = np.fft.irfft(spectrum, made)[: max(1, round(len(wave) * made / given))]
    played *= made / given
    return (played / max(1.0, float(np.abs(played).max()))).astype(np.float32)


def _curve(
    config: AugmentSettings, knots: NDArray[np.float64], masks: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Gain in dB at `_POINTS` points of the mel scale up to 8 kHz; None: nothing is changed.

    Args:
        knots, masks: numbers between 0 and 1, [_KNOTS] and [M, 2].
    """
    if not config.equalizer_db and not len(masks):
        return None
    gains = config.equalizer_db * (2 * knots - 1)
    curve = np.interp(np.linspace(0, _KNOTS - 1, _POINTS), np.arange(_KNOTS), gains)
    for width, place in masks:
        points = int(width * config.band_mask_share * _POINTS + 0.5)
        start = int(place * (_POINTS - points + 1))
        curve[start : start + points] = _SILENT
    return curve


def _gains(curve: NDArray[np.float64], length: int) -> NDArray[np.float32]:
    """Factors of the bins of a transform of so many samples."""
    return (10 ** (np.interp(_mel_points(length), np.arange(_POINTS), curve) / 20)).astype(np.float32)


@lru_cache(maxsize=256)
def _mel_points(length: int) -> NDArray[np.float64]:
    """Where the bins of a transform lie among the points of a curve."""
    hertz = np.fft.rfftfreq(length, 1 / AUDIO_RATE)
    mel = np.log1p(hertz / 700)
    return mel / math.log1p(AUDIO_RATE / 2 / 700) * (_POINTS - 1)


@lru_cache(maxsize=4096)
def fast_length(samples: int) -> int:
    """The smallest number from `samples` on without prime factors above 5, whose transform is fast."""
    best = 1 << max(0, samples - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            two = three << max(0, -(-samples // three) - 1).bit_length()
            best = min(best, two)
            three *= 3
        five *= 5
    return best
