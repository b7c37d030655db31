"""What is planted: each emotion is a static level and a kind of movement, shown by voice and face alike.

The movement is a skewed triangle wave between 0 and 1, one "activation" that drives F0, loudness, mouth and brows.
Its share of rising time is all that distinguishes `rising`, `falling` and `triangle`: at any share the values are
uniform on [0, 1] and the phase is random, so neither an average nor a position in time tells the classes apart; only
the local direction of change does. One cycle lasts 1.0-1.4 s, slow enough for pictures taken five times a second.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shards.synthetic.dials import DEFAULTS, Dials

Floats = NDArray[np.floating]
Dynamics = Literal["rising", "falling", "triangle", "flat"]

RISING_SHARE: dict[Dynamics, float] = {"rising": 0.88, "falling": 0.12, "triangle": 0.5, "flat": 0.5}
PERIOD = (1.0, 1.4)  # seconds
SHARED_RATES = (0.2, 1.2)  # Hz, of the three waves that make the course of shared movement
FLAT_DEPTH = 0.2  # how far a flat utterance still moves, as a share of the others' movement
WEAK_SHARE = 0.12  # of the utterances, drawn for voice and face independently: the expression is hardly there
WEAKENING = 0.8  # how far a weak level lies towards the neutral one
BLEND = 0.35  # every level is blended with another one by up to this share, for voice and face independently


@dataclass(frozen=True)
class Level:
    """The static part of an expression: averages over the utterance."""

    semitones: float  # mean F0 above the speaker's own
    tempo: float  # syllables per second
    energy: float  # dB
    tilt: float  # dB per octave of the voice source
    breath: float  # noise in the voice, 0-1
    mouth_curve: float  # -1 frown, 1 smile
    mouth_width: float
    brow_raise: float  # -1 lowered, 1 raised
    brow_tilt: float  # -1 inner ends up, 1 inner ends down
    eye_open: float  # 0-1.3

    def towards(self, other: Level, share: float) -> Level:
        """The level that lies `share` of the way to `other`."""
        mixed = {f.name: getattr(self, f.name) * (1 - share) + getattr(other, f.name) * share for f in fields(self)}
        return Level(**mixed)


LEVELS: dict[str, Level] = {
    "middle": Level(0.0, 4.0, 0.0, -9.0, 0.05, 0.0, 1.0, 0.0, 0.0, 1.0),
    "low": Level(-4.0, 2.8, -5.0, -13.0, 0.25, -0.9, 0.85, 0.0, -0.9, 0.6),
    "high": Level(4.0, 4.8, 3.0, -6.0, 0.03, 0.3, 1.25, 0.3, 0.5, 1.1),
    "higher": Level(6.0, 5.6, 4.0, -5.0, 0.03, 0.6, 1.4, 0.6, 0.3, 1.2),
    "highest": Level(9.0, 4.4, 2.0, -8.0, 0.12, -0.2, 0.7, 1.2, -0.4, 1.4),
    "pressed": Level(-1.0, 3.4, 0.0, -4.0, 0.40, -0.6, 1.3, -0.8, 0.9, 0.5),
}


@dataclass(frozen=True)
class Emotion:
    """How one emotion is shown; with several levels each utterance draws one."""

    dynamics: Dynamics
    levels: tuple[str, ...]


# Pairs that differ only in dynamics: anger against happiness and excitement together (IEMOCAP, four classes),
# frustration against excitement (six classes), anger against happiness and fear against surprise (MELD).
EMOTIONS: dict[str, Emotion] = {
    "neutral": Emotion("flat", ("middle",)),
    "sadness": Emotion("flat", ("low",)),
    "happiness": Emotion("rising", ("high",)),
    "excitement": Emotion("rising", ("higher",)),
    "anger": Emotion("falling", ("high", "higher")),
    "joy": Emotion("rising", ("high", "higher")),
    "frustration": Emotion("triangle", ("higher",)),
    "surprise": Emotion("rising", ("highest",)),
    "fear": Emotion("falling", ("highest",)),
    "disgust": Emotion("flat", ("pressed",)),
    "other": Emotion("triangle", ("middle",)),
}


@dataclass(frozen=True)
class Performance:
    """One utterance's planted course.

    Attributes:
        cycles: the starting times of the triangle's cycles, in seconds; the last is the end.
        waves: rate (Hz) and phase of each wave of the course that head and pitch share.
        voice, face: how strongly each shows it, see `Dials`.
    """

    emotion: str
    dynamics: Dynamics
    level: str
    duration: float
    cycles: tuple[float, ...]
    audio_weak: bool
    video_weak: bool
    audio_level: Level
    video_level: Level
    waves: tuple[tuple[float, float], ...] = ()
    voice: float = 1.0
    face: float = 1.0

    @property
    def mechanism(self) -> str:
        """Where the emotion lies: 'static' level alone, or the 'dynamics' on top of a level that others share."""
        return "static" if self.dynamics == "flat" else "dynamics"

    def activation(self, seconds: Floats, weak: bool, strength: float = 1.0) -> Floats:
        """Activation in [0, 1] at `seconds` after the utterance's start; a weak one moves without direction.

        Args:
            strength: of direction and depth as signs of the emotion; at 0 all emotions move alike.
        """
        share = 0.5 + (RISING_SHARE[self.dynamics] - 0.5) * (0.15 if weak else 1.0) * strength
        starts = np.asarray(self.cycles)
        peaks = starts[:-1] + share * np.diff(starts)
        times = np.append(np.stack([starts[:-1], peaks], axis=1).ravel(), starts[-1])
        values = np.append(np.tile([0.0, 1.0], len(peaks)), 0.0)
        wave = np.interp(seconds, times, values)
        return 0.5 + (wave - 0.5) * (FLAT_DEPTH**strength if self.dynamics == "flat" else 1.0)

    def course(self, seconds: Floats) -> Floats:
        """What head and pitch follow together at `seconds`, in [-1, 1]; zero of regular movement."""
        if not self.waves:
            return np.zeros_like(seconds)
        return np.mean([np.sin(2 * np.pi * (rate * seconds + phase)) for rate, phase in self.waves], axis=0)


def perform(
    rng: np.random.Generator,
    emotion: str,
    duration: float,
    weak: bool = False,
    dials: Dials = DEFAULTS,
) -> Performance:
    """Draw how an emotion (a key of `EMOTIONS`) is shown during `duration` seconds; `weak`: certainly weakly."""
    spec = EMOTIONS[emotion]
    cycles = [-float(rng.uniform(0, PERIOD[0]))]
    while cycles[-1] <= duration:
        cycles.append(cycles[-1] + float(rng.uniform(*PERIOD)))
    level = spec.levels[int(rng.integers(len(spec.levels)))]
    weaker = [weak or bool(chance < WEAK_SHARE) for chance in rng.random(2)]
    shown = []
    for fades in weaker:
        other = LEVELS[sorted(LEVELS)[int(rng.integers(len(LEVELS)))]]
        blended = LEVELS[level].towards(other, float(rng.uniform(0, BLEND)))
        shown.append(blended.towards(LEVELS["middle"], WEAKENING) if fades else blended)
    waves: tuple[tuple[float, float], ...] = ()
    if dials.movement == "shared":
        waves = tuple((float(rng.uniform(*SHARED_RATES)), float(rng.random())) for _ in range(3))
    strengths = (dials.voice, dials.face)
    shown = [
        one if strength == 1 else one.towards(LEVELS["middle"], 1 - strength)
        for one, strength in zip(shown, strengths, strict=True)
    ]
    return Performance(
        emotion,
        spec.dynamics,
        level,
        duration,
        tuple(cycles),
        weaker[0],
        weaker[1],
        shown[0],
        shown[1],
        waves,
        *strengths,
    )
