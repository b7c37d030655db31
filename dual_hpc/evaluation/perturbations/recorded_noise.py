"""Speech in noise from a user's own recordings, such as MUSAN's noise and music."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dual_hpc.data.decoding.container import probe
from dual_hpc.data.decoding.media import read_audio
from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.errors import UserError
from dual_hpc.evaluation.perturbations.noise import RATIOS, Wave, mix_in, waves_of
from dual_hpc.evaluation.perturbations.perturbation import Batch, Context, Perturbation
from dual_hpc.evaluation.perturbations.rng import rng_for

_SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"}
_KEPT = 512  # pieces: those of the batch at hand are asked for again at every level


class Recordings:
    """The recordings of a folder and those below it.

    Raises:
        UserError: not a folder, or no recording in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"--noise: {folder} is not a folder")
        self._files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
        if not self._files:
            raise UserError(f"--noise: {folder} holds no recordings ({', '.join(sorted(_SUFFIXES))})")
        self.piece = lru_cache(_KEPT)(self._piece)

    def _piece(self, seed: int, key: str, length: int) -> Wave:
        """f32 [length], from a file and a place of the utterance's own; what is too short is repeated.

        Raises:
            UnreadableMedia: the file cannot be decoded.
        """
        rng = rng_for(seed, "recorded noise", key)
        file = self._files[int(rng.integers(len(self._files)))]
        seconds = length / AUDIO_RATE
        start = rng.random() * max(0.0, probe(file).duration - seconds)
        return np.resize(read_audio(file, start, start + seconds), length)


def add_recorded_noise(batch: Mapping[str, Any], snr_db: float, seed: int, recordings: Recordings) -> dict[str, Any]:
    """Every utterance with a recording of its own added, the same at every ratio.

    Raises:
        UnreadableMedia: a recording is damaged.
    """
    waves = waves_of(batch)
    noises = [
        recordings.piece(seed, key, len(wave)) if len(wave) else wave
        for key, wave in zip(batch["keys"], waves, strict=True)
    ]
    return mix_in(batch, waves, noises, snr_db)


def _apply(batch: Batch, level: float, context: Context) -> Batch:
    assert context.recordings is not None, "see `usable`"
    return add_recorded_noise(batch, level, context.seed, context.recordings)


RECORDED_NOISE = Perturbation(
    "recorded noise",
    "a",
    "dB SNR",
    RATIOS,
    apply=_apply,
    usable=lambda context: context.recordings is not None,
)
