"""Speech-like sound: a harmonic voice source through moving formants, in syllables with consonant noise and pauses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shards.synthetic.emotions import Floats, Performance

RATE = 16_000  # Hz
HOP = 80  # samples between two control points
F0_SPAN = 10.0  # semitones from activation 0 to 1
STEER_SPAN = 7.0  # semitones that the shared course raises and lowers
ENERGY_SPAN = 14.0  # dB from activation 0 to 1
CEILING = 5_000.0  # Hz, highest harmonic
VOWELS = np.array(  # first three formants in Hz of an average adult
    [[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240], [660, 1720, 2410]],
    dtype=np.float64,
)
BANDWIDTHS = np.array([90.0, 120.0, 180.0])  # Hz


@dataclass(frozen=True)
class Voice:
    """A speaker's voice: mean F0 in Hz and the factor on the formants (short vocal tracts are above 1)."""

    f0: float
    formants: float


def draw_voice(rng: np.random.Generator, female: bool) -> Voice:
    """A speaker's voice."""
    if female:
        return Voice(float(rng.uniform(180, 225)), float(rng.uniform(1.08, 1.2)))
    return Voice(float(rng.uniform(98, 130)), float(rng.uniform(0.94, 1.05)))


def speak(rng: np.random.Generator, voice: Voice, performance: Performance) -> NDArray[np.float32]:
    """The utterance as mono samples in [-1, 1] at 16 kHz, `round(duration * RATE)` of them."""
    samples = max(1, round(performance.duration * RATE))
    points = samples // HOP + 2
    seconds = np.arange(points) * HOP / RATE
    level = performance.audio_level
    activation = performance.activation(seconds, performance.audio_weak, performance.voice)
    voiced, hiss, formants = _syllables(rng, seconds, level.tempo)

    wander = _smooth(rng.standard_normal(points), 41) * 2.0
    steer = STEER_SPAN * performance.course(seconds)
    f0 = voice.f0 * 2 ** ((level.semitones + F0_SPAN * (activation - 0.5) + wander + steer) / 12)
    gain = 10 ** ((level.energy + ENERGY_SPAN * (activation - 0.5)) / 20)
    tilt = level.tilt + 4.0 * (activation - 0.5)
    tone = _harmonics(f0, formants * voice.formants, tilt, voiced * gain, samples)
    noise = np.diff(rng.standard_normal(samples + 1)) * 0.5
    breath = _to_samples((hiss + level.breath * voiced) * gain, samples)
    sound = 0.08 * (tone + 0.25 * noise * breath) + 0.0015 * rng.standard_normal(samples)
    return np.clip(sound, -0.99, 0.99).astype(np.float32)


def _syllables(rng: np.random.Generator, seconds: Floats, tempo: float) -> tuple[Floats, Floats, Floats]:
    """Loudness of voice and of consonant noise [points], and formants [points, 3], along the utterance."""
    voiced, hiss = np.zeros_like(seconds), np.zeros_like(seconds)
    formants = np.tile(VOWELS.mean(axis=0), (len(seconds), 1))
    start = 0.0
    while start < seconds[-1]:
        length = rng.uniform(0.8, 1.2) / tempo
        consonant = 0.22 * length
        position = (seconds - start) / length
        vowel = (seconds - start - consonant) / (length - consonant)
        inside = (vowel >= 0) & (vowel < 1)
        voiced[inside] = rng.uniform(0.7, 1.0) * np.sqrt(np.sin(np.pi * vowel[inside]))
        formants[(position >= 0) & (position < 1)] = VOWELS[rng.integers(len(VOWELS))] * rng.uniform(0.95, 1.05, 3)
        if rng.random() < 0.5:
            hiss[(position >= 0) & (vowel < 0)] = rng.uniform(0.2, 0.7)
        start += length + (rng.uniform(0.12, 0.3) if rng.random() < 0.12 else 0.0)
    return _smooth(voiced, 3), _smooth(hiss, 3), np.stack([_smooth(f, 9) for f in formants.T], axis=1)


def _harmonics(f0: Floats, formants: Floats, tilt: Floats, loudness: Floats, samples: int) -> Floats:
    """Sum of the harmonics of `f0` [points] below CEILING, shaped by source tilt and formants."""
    count = int(CEILING / f0.min())
    frequencies = f0[:, None] * np.arange(1, count + 1)  # [points, harmonics]
    resonance = sum(
        1 / (1 + ((frequencies - formants[:, k, None]) / BANDWIDTHS[k]) ** 2) * (1.0, 0.7, 0.4)[k] for k in range(3)
    )
    source = 10 ** (tilt[:, None] * np.log2(frequencies / 150) / 20)
    amplitudes = loudness[:, None] * source * (0.15 + 4 * resonance) * (frequencies < CEILING)
    phase = 2 * np.pi * np.cumsum(_to_samples(f0, samples)) / RATE
    turn = np.exp(1j * (phase % (2 * np.pi))).astype(np.complex64)
    rotor, tone = np.ones_like(turn), np.zeros(samples)
    for k in range(count):
        rotor = rotor * turn
        tone += rotor.imag * _to_samples(amplitudes[:, k], samples)
    return tone


def _to_samples(control: Floats, samples: int) -> Floats:
    """Control points every HOP samples, interpolated to single samples."""
    share = np.arange(HOP) / HOP
    return (control[:-1, None] + np.diff(control)[:, None] * share).ravel()[:samples]


def _smooth(values: Floats, width: int) -> Floats:
    """Moving average of `width` points, of the same length even where the input is shorter than the window."""
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")
