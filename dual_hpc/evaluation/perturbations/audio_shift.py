"""Audio that is late or early relative to the video, as in recordings whose streams were cut separately."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.evaluation.perturbations.perturbation import Perturbation


def shift_audio(batch: Mapping[str, Any], milliseconds: float) -> dict[str, Any]:
    """The audio comes so much later, or earlier if negative: silence on the one side, cut off on the other."""
    shift = round(milliseconds / 1000 * AUDIO_RATE)
    waveform = torch.zeros_like(batch["waveform"])
    for row, length in enumerate(batch["waveform_lengths"].tolist()):
        kept = length - abs(shift)
        if kept > 0:
            into, out_of = max(0, shift), max(0, -shift)
            waveform[row, into : into + kept] = batch["waveform"][row, out_of : out_of + kept]
    return {**batch, "waveform": waveform}


_SHIFTS = (80.0, 160.0, 320.0, 640.0)
LATE_AUDIO = Perturbation("late audio", "av", "ms", _SHIFTS, apply=lambda batch, level, _: shift_audio(batch, level))
EARLY_AUDIO = Perturbation("early audio", "av", "ms", _SHIFTS, apply=lambda batch, level, _: shift_audio(batch, -level))
