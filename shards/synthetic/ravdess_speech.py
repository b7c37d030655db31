"""Recordings for RAVDESS's names: each actor a voice, each emotion a setting of pitch, range, rate and loudness.

Spoken by espeak-ng where it is installed (the words can then be understood), else by the voice of `speech`. As in the
release: 48 kHz, very quiet (about -41 dBFS), near-silence around the words, a few of them stereo, a few at 22.05 kHz.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from dual_hpc.errors import EnvironmentFault
from shards.corpora import ravdess
from shards.corpora.named import Named
from shards.synthetic.emotions import Level, Performance
from shards.synthetic.media import write_wav
from shards.synthetic.named import ravdess_names
from shards.synthetic.plan import generator
from shards.synthetic.speech import RATE, draw_voice, speak

RECORDED, LOWER = 48_000, 22_050  # Hz
LEVEL = -41.0  # dBFS, the mean of the release
ROOM = -75.0  # dBFS, of the noise around and below the words
AROUND = 0.4  # seconds before the words and after
STEREO_EVERY, LOWER_EVERY = 97, 131  # recordings
STRONGER = 1.5  # how far the strong intensity goes, as a factor on what sets an emotion apart
ESPEAK = "espeak-ng"
_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan")
_VARIANTS = {"male": ("m1", "m3", "m5", "m7"), "female": ("f1", "f2", "f3", "f5")}


@dataclass(frozen=True)
class Prosody:
    """What an emotion sets: semitones above the speaker's pitch, factors on its range and on the rate, decibels."""

    semitones: float = 0.0
    span: float = 1.0
    rate: float = 1.0
    decibels: float = 0.0

    def stronger(self) -> Prosody:
        """As the strong intensity has it."""
        return Prosody(self.semitones * STRONGER, self.span**STRONGER, self.rate**STRONGER, self.decibels * STRONGER)


EMOTIONS = {
    "neutral": Prosody(),
    "calm": Prosody(-2.0, 0.7, 0.82, -3.0),
    "happy": Prosody(4.0, 1.5, 1.15, 2.0),
    "sad": Prosody(-4.0, 0.35, 0.7, -5.0),
    "angry": Prosody(2.0, 1.8, 1.3, 6.0),
    "fearful": Prosody(6.0, 0.5, 1.35, 1.0),
    "disgust": Prosody(-5.0, 1.6, 0.8, 0.0),
    "surprised": Prosody(7.0, 2.0, 0.9, 3.0),
}
Sound = tuple[NDArray[np.float32], int]  # mono samples in [-1, 1], and their rate
Voice = Callable[[Named, Prosody, np.random.Generator], Sound]


def write_ravdess(folder: Path, voice: Voice | None = None, names: Iterable[str] | None = None, seed: int = 0) -> int:
    """Write the recordings; returns how many.

    Args:
        voice: None: espeak-ng, where it is installed.
        names: of the release, paths in the folder; None: all 1,440.
    """
    voice = voice or (by_espeak if shutil.which(ESPEAK) else by_formants)
    every = {name: number for number, name in enumerate(ravdess_names())}
    wanted = list(every if names is None else names)
    for name in wanted:
        named = ravdess.meaning(name)
        assert named is not None, "one of RAVDESS's names"
        rng = generator(seed, name)
        prosody = EMOTIONS[named.label]
        prosody = prosody.stronger() if named.attributes["intensity"] == "strong" else prosody
        words, rate = voice(named, _varied(prosody, rng), rng)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        number = every[name]
        target = LOWER if number % LOWER_EVERY == LOWER_EVERY // 2 else RECORDED
        sound = recorded(words, rate, target, LEVEL + prosody.decibels, rng)
        write_wav(path, np.stack([sound, sound], 1) if number % STEREO_EVERY == STEREO_EVERY // 2 else sound, target)
    return len(wanted)


def by_espeak(named: Named, prosody: Prosody, rng: np.random.Generator) -> Sound:
    """The actor's accent and voice of espeak-ng.

    Raises:
        EnvironmentFault: it fails.
    """
    actor, gender = int(named.speaker), named.attributes["gender"]
    variants = _VARIANTS[gender]
    voice = f"{_ACCENTS[actor // 2 % len(_ACCENTS)]}+{variants[(actor - 1) // 12 * 2 + actor // 2 % 2]}"
    pitch = int(np.clip(50 + 5 * prosody.semitones + actor % 5 - 2, 0, 99))
    text = f'<speak><prosody range="{round(100 * prosody.span)}%">{named.text}</prosody></speak>'
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "said.wav"
        words = [
            ESPEAK,
            "-m",
            "-v",
            voice,
            "-p",
            str(pitch),
            "-s",
            str(round(165 * prosody.rate)),
            "-w",
            str(file),
            text,
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode or not file.exists():
            raise EnvironmentFault(f"{ESPEAK} failed: {done.stderr.strip()[:200] or done.returncode}")
        samples, rate = soundfile.read(file, dtype="float32")
    return samples, rate


def by_formants(named: Named, prosody: Prosody, rng: np.random.Generator) -> Sound:
    """Speech-like sound of the actor's own pitch and vocal tract; needs no program."""
    tempo = 4.0 * prosody.rate
    level = Level(prosody.semitones, tempo, 0.0, -9.0, 0.05, 0.0, 1.0, 0.0, 0.0, 1.0)
    seconds = 9 / tempo  # the syllables of a sentence
    cycles = tuple(np.arange(-1.0, seconds + 2.4, 1.2).tolist())
    wide = float(np.clip(prosody.span / 2, 0, 1))  # of the movement, which strength 0 leaves whole and 1 takes away
    performance = Performance("neutral", "flat", "middle", seconds, cycles, False, False, level, level, voice=1 - wide)
    actor = generator(0, "actor", named.speaker)
    return speak(rng, draw_voice(actor, named.attributes["gender"] == "female"), performance), RATE


def recorded(
    words: NDArray[np.float32], rate: int, target: int, level: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Words as a recording of `target` Hz: at `level` dBFS on the whole, with a room's noise around them."""
    count = len(words) * target // rate
    said = np.interp(np.arange(count) * rate / target, np.arange(len(words)), words)
    around = np.zeros(round(AROUND * target))
    sound = np.concatenate([around, said, around])
    sound *= 10 ** (level / 20) / max(float(np.sqrt(np.mean(sound**2))), 1e-9)
    return (sound + rng.normal(0, 10 ** (ROOM / 20), len(sound))).astype(np.float32)


def _varied(prosody: Prosody, rng: np.random.Generator) -> Prosody:
    """No two takes are alike."""
    semitones, span, rate = rng.normal(0, (0.6, 0.08, 0.04))
    return Prosody(
        prosody.semitones + semitones, prosody.span * np.exp(span), prosody.rate * np.exp(rate), prosody.decibels
    )
