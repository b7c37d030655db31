"""Cross-entropy, with label smoothing and class weights where they are asked for."""

from __future__ import annotations

import torch

from dual_hpc.model.losses.classification import class_weighted, log_softmax, smoothed_nll
from dual_hpc.model.losses.registry import LOSSES, LossSettings


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, settings: LossSettings) -> torch.Tensor:
    """Logits [B, C] and classes [B] -> [B]."""
    return class_weighted(smoothed_nll(log_softmax(logits), target, settings.label_smoothing), target, settings)


LOSSES.register("cross_entropy", cross_entropy)
