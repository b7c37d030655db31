"""Sound that comes too late or too early for the pictures, as in recordings whose streams were cut apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dual_hpc.data.format.sample import AUDIO_RATE


def with_late_sound(batch: Mapping[str, Any], milliseconds: float) -> dict[str, Any]:
    """The sound comes so much later, or earlier if negative: silence on the one side, cut off on the other."""
    shift = round(milliseconds / 1000 * AUDIO_RATE)
    waveform = torch.zeros_like(batch["waveform"])
    for row, length in enumerate(batch["waveform_lengths"].tolist()):
        kept = length - abs(shift)
        if kept > 0:
            into, out_of = max(0, shift), max(0, -shift)
            waveform[row, into : into + kept] = batch["waveform"][row, out_of : out_of + kept]
    return {**batch, "waveform": waveform}
