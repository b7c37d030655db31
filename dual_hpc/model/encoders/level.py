"""One level for every utterance, so that how loud it was recorded is nothing that a model can see."""

from __future__ import annotations

import torch

from dual_hpc.model.masking import blank, full_precision, prefix_mask

LEVEL = 0.1  # root mean square: -20 dBFS, the level of speech in a good recording
_QUIETEST = 1e-5  # -100 dBFS, below the last bit of a 16-bit recording: what is softer counts as silence


def normalize_level(waveform: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Each utterance without its mean and at the level `LEVEL` over its valid samples, zero beyond them.

    [B, N] of any precision and lengths [B] -> f32 [B, N]. The gain is at most 80 dB, so that digital silence stays
    silent. Sums are taken in fp64: what pads a batch does not change their rounding.
    """
    with full_precision(waveform):
        mask = prefix_mask(lengths, waveform.shape[1])
        count = lengths.clamp_min(1).unsqueeze(1)
        waveform = blank(waveform.float(), mask)
        mean = waveform.sum(1, keepdim=True, dtype=torch.float64) / count
        centred = blank(waveform - mean.float(), mask)
        power = centred.square().sum(1, keepdim=True, dtype=torch.float64) / count
        return centred * (LEVEL / power.sqrt().clamp_min(_QUIETEST)).float()
