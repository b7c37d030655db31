"""Alignment losses: do audio and video say the same thing at the same time?"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.kernels.alignment_loss.operation import alignment_loss
from dual_hpc.model.masking import blank, full_precision, prefix_mask

MIN_NORM = 1e-2  # below it a vector has no direction to speak of; aligned features have norm sqrt(d)
ROUNDING = 1e-4  # below it, it is the rounding errors of a difference of equal numbers in fp32
LOWEST_TEMPERATURE = 0.025  # below it exp(cosine / tau) leaves fp32 when the shift is the constant 1 / tau


class AlignmentLoss(nn.Module):
    """Bidirectional contrastive loss over time steps; its temperature may be learned."""

    def __init__(
        self, temperature: float, learn: bool, across_batch: bool, implementation: str, centred: bool = False
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.across_batch = across_batch
        self.centred = centred
        self.implementation = implementation
        self.log_temperature = nn.Parameter(torch.tensor([math.log(temperature)])) if learn else None

    def forward(self, audio: torch.Tensor, video: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """audio, video [B, T, D] and lengths [B] (0: one of the two is missing) -> f32 [B], 0 where lengths is 0.

        With `across_batch` the negatives come from the whole micro-batch, so this loss (and only this one) depends on
        how a batch is cut.
        """
        if self.centred:
            audio, video = centre(audio, lengths), centre(video, lengths)
        temperature: float | torch.Tensor = self.temperature
        if self.log_temperature is not None:
            temperature = self.log_temperature.float().exp().clamp(LOWEST_TEMPERATURE, 1.0).squeeze(0)
        return alignment_loss(
            blank_still_steps(audio),
            blank_still_steps(video),
            lengths,
            temperature,
            across_batch=self.across_batch,
            implementation=self.implementation,
        )


def centre(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """x [B, T, D] without the mean over the valid steps, f32; zero beyond lengths [B].

    Who speaks, and at what level, is the same at every step. It is most of a feature, so that all cosines of an
    utterance are alike, and what moves is hardly seen in them.
    """
    mask = prefix_mask(lengths, x.shape[1])
    with full_precision(x):
        x = blank(x.float(), mask)
        return blank(x - (x.sum(dim=1) / lengths.clamp_min(1).unsqueeze(1)).unsqueeze(1), mask)


def blank_still_steps(x: torch.Tensor) -> torch.Tensor:
    """x [..., D] as it is, but steps of (almost) no length get no gradient, and those of rounding errors are zero.

    Δ is zero where nothing changes, for SDM at its start but for rounding: the direction of that is chance, and another
    one in another batch. The gradient of a direction grows as 1 / length: one such step would outweigh all others. Its
    value stays, as a loss that jumps where a step passes MIN_NORM would not be the same on other numbers of ranks.
    """
    length = x.detach().float().norm(dim=-1, keepdim=True)
    return torch.where(length < MIN_NORM, x.detach(), x).masked_fill(length < ROUNDING, 0)


def similarity(audio: torch.Tensor, video: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Cosine between every audio step and every video step, f32 [B, T, T]; zero where either is padding."""
    with full_precision(audio):
        directions = [functional.normalize(blank_still_steps(x).float(), dim=-1) for x in (audio, video)]
        matrix = directions[0] @ directions[1].mT
    mask = prefix_mask(lengths, audio.shape[1])
    return matrix * (mask.unsqueeze(2) & mask.unsqueeze(1))
