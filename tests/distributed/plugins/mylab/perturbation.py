"""A perturbation: quieter audio."""

from __future__ import annotations

from typing import Any

from dual_hpc.evaluation.perturbations.perturbation import PERTURBATIONS, Context, Perturbation


def attenuate(batch: dict[str, Any], decibels: float, context: Context) -> dict[str, Any]:
    """The batch with every waveform so much quieter."""
    return {**batch, "waveform": batch["waveform"] * 10 ** (-decibels / 20)}


PERTURBATIONS.register(
    "attenuation", Perturbation("attenuation", "a", "dB", (6.0, 20.0), subsets=("a", "at"), apply=attenuate)
)
