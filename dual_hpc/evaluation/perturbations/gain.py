"""The same recording made with the microphone turned down or up; what is driven beyond full scale is clipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dual_hpc.evaluation.perturbations.perturbation import Perturbation
from dual_hpc.model.masking import prefix_mask


def change_gain(batch: Mapping[str, Any], decibels: float) -> dict[str, Any]:
    """Every sample multiplied by the gain and clipped to [-1, 1]; nothing is rounded."""
    return {**batch, "waveform": (batch["waveform"] * _factor(decibels)).clamp(-1, 1)}


def clipped_samples(batch: Mapping[str, Any], decibels: float) -> tuple[int, int]:
    """Samples that the gain drives beyond full scale, and all samples, of the valid utterances."""
    waveform, lengths = batch["waveform"], batch["waveform_lengths"] * batch["valid"]
    beyond = (waveform.abs() * _factor(decibels) > 1) & prefix_mask(lengths, waveform.shape[1])
    return int(beyond.sum()), int(lengths.sum())


def _factor(decibels: float) -> float:
    return float(10 ** (decibels / 20))


QUIETER = Perturbation(
    "quieter audio",
    "a",
    "dB softer",
    (10.0, 20.0, 30.0, 40.0),
    apply=lambda batch, level, _: change_gain(batch, -level),
)
LOUDER = Perturbation(
    "louder audio",
    "a",
    "dB louder",
    (5.0, 10.0, 20.0, 30.0),
    apply=lambda batch, level, _: change_gain(batch, level),
    clipped=clipped_samples,
)
