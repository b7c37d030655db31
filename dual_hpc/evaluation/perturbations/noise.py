"""Speech in noise: white noise or babble at a signal-to-noise ratio, over the length of each utterance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dual_hpc.evaluation.perturbations.perturbation import Perturbation
from dual_hpc.evaluation.perturbations.rng import rng_for

Wave = npt.NDArray[np.float32]
RATIOS = (20.0, 10.0, 5.0, 0.0, -5.0)  # dB


def add_white_noise(batch: Mapping[str, Any], snr_db: float, seed: int) -> dict[str, Any]:
    """Every utterance with noise of its own, the same noise at every ratio."""
    waves, keys = waves_of(batch), batch["keys"]
    noises = [
        rng_for(seed, "white noise", key).standard_normal(len(wave), dtype=np.float32)
        for key, wave in zip(keys, waves, strict=True)
    ]
    return mix_in(batch, waves, noises, snr_db)


def add_babble(batch: Mapping[str, Any], snr_db: float) -> dict[str, Any]:
    """Every utterance with the other voices of its batch, equally loud; one that is alone with itself reversed.

    Short voices are repeated.
    """
    waves = waves_of(batch)
    loud = [wave / np.float32(np.sqrt(_power(wave))) if _power(wave) else wave[:0] for wave in waves]
    noises = []
    for row, wave in enumerate(waves):
        others = [voice for other, voice in enumerate(loud) if other != row and voice.size]
        voices = others or [loud[row][::-1]]
        noises.append(np.stack([np.resize(voice, len(wave)) for voice in voices]).sum(0))
    return mix_in(batch, waves, noises, snr_db)


def at_ratio(wave: Wave, noise: Wave, snr_db: float) -> Wave:
    """f32 [n] and f32 [n] -> their sum, the noise scaled to lie `snr_db` below the wave; silence stays silent."""
    loudness = _power(noise)
    if not loudness:
        return wave
    return wave + noise * np.float32(np.sqrt(_power(wave) / loudness / 10 ** (snr_db / 10)))


def _power(wave: Wave) -> float:
    return float(np.mean(np.square(wave, dtype=np.float64))) if wave.size else 0.0


def waves_of(batch: Mapping[str, Any]) -> list[Wave]:
    """f32 [n] of each utterance, without what pads the batch."""
    rows = zip(batch["waveform"].numpy(), batch["waveform_lengths"].tolist(), strict=True)
    return [row[:length] for row, length in rows]


def mix_in(batch: Mapping[str, Any], waves: list[Wave], noises: list[Wave], snr_db: float) -> dict[str, Any]:
    """The batch with a noise of the same length added to each of its waves."""
    waveform = torch.zeros_like(batch["waveform"])
    for row, (wave, noise) in enumerate(zip(waves, noises, strict=True)):
        waveform[row, : len(wave)] = torch.from_numpy(at_ratio(wave, noise, snr_db))
    return {**batch, "waveform": waveform}


WHITE_NOISE = Perturbation(
    "white noise",
    "a",
    "dB SNR",
    RATIOS,
    apply=lambda batch, level, context: add_white_noise(batch, level, context.seed),
)
BABBLE = Perturbation("babble", "a", "dB SNR", RATIOS, apply=lambda batch, level, _: add_babble(batch, level))
