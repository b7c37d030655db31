from __future__ import annotations

import numpy as np
import pytest

from shards.synthetic.emotions import perform
from shards.synthetic.speech import RATE, Voice, speak

VOICE = Voice(f0=190.0, formants=1.1)


def say(emotion: str, seed: int, duration: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    while (performance := perform(rng, emotion, duration)).audio_weak:
        pass
    return speak(rng, VOICE, performance)


def pitch(sound: np.ndarray) -> np.ndarray:
    """F0 in Hz every 10 ms where the sound is voiced (peak of the autocorrelation above 0.5), else NaN."""
    window, lags = 640, np.arange(RATE // 500, RATE // 80)
    found = []
    for start in range(0, len(sound) - window - lags[-1], 160):
        frame = sound[start : start + window + lags[-1]].astype(np.float64)
        first = frame[:window]
        scores = np.array([first @ frame[lag : lag + window] for lag in lags])
        energy = np.array([np.linalg.norm(frame[lag : lag + window]) for lag in lags]) * np.linalg.norm(first)
        scores /= energy + 1e-9
        best = int(np.argmax(scores > 0.9 * scores.max()))
        best += int(np.argmax(scores[best : best + 10]))
        found.append(RATE / lags[best] if scores[best] > 0.5 else np.nan)
    return np.array(found)


def direction(emotion: str) -> float:
    """Share of the voiced stretches of 80 ms over which F0 rises."""
    slopes: list[float] = []
    for seed in range(4):
        f0 = pitch(say(emotion, seed))
        change = np.log2(f0[8:] / f0[:-8])
        slopes += list(change[np.isfinite(change) & (np.abs(change) < 0.5)])
    return float(np.mean(np.array(slopes) > 0))


@pytest.mark.parametrize("duration", [0.064, 0.3, 2.345])
def test_length_and_range(duration: float) -> None:
    sound = say("joy", 0, duration)
    assert sound.dtype == np.float32 and len(sound) == round(duration * RATE)
    assert np.isfinite(sound).all() and 0 < np.abs(sound).max() <= 0.99


def test_the_pitch_rises_in_joy_and_falls_in_anger_most_of_the_time() -> None:
    assert direction("joy") > 0.65
    assert direction("anger") < 0.35


def test_sadness_is_lower_and_softer_than_surprise() -> None:
    low, high = say("sadness", 1), say("surprise", 1)
    assert np.nanmedian(pitch(low)) * 1.2 < np.nanmedian(pitch(high))
    assert low.std() < high.std()


def test_a_longer_vocal_tract_moves_the_spectrum_down() -> None:
    performance = perform(np.random.default_rng(0), "neutral", 2.0)

    def centroid(formants: float) -> float:
        spectrum = np.abs(np.fft.rfft(speak(np.random.default_rng(0), Voice(150.0, formants), performance)))
        return float((spectrum * np.arange(len(spectrum))).sum() / spectrum.sum())

    assert centroid(0.9) < centroid(1.2)
