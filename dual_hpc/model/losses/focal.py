"""Focal loss (Lin et al., 2017): samples that are answered well count less."""

from __future__ import annotations

import torch

from dual_hpc.model.losses.classification import class_weighted, log_softmax, smoothed_nll
from dual_hpc.model.losses.registry import LOSSES, LossSettings


def focal(logits: torch.Tensor, target: torch.Tensor, settings: LossSettings) -> torch.Tensor:
    """Logits [B, C] and classes [B] -> [B]."""
    log_p = log_softmax(logits)
    log_p_target = log_p.gather(1, target.unsqueeze(1)).squeeze(1)
    # The clamp keeps the gradient of (1 - p)^gamma finite at p = 1 for gamma < 1.
    damping = (-torch.expm1(log_p_target)).clamp_min(1e-6) ** settings.focal_gamma
    return class_weighted(smoothed_nll(log_p, target, settings.label_smoothing) * damping, target, settings)


LOSSES.register("focal", focal)
