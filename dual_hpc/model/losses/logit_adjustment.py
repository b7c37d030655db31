"""Logit adjustment (Menon et al., 2021): log priors are added to the logits in training.

It already corrects for imbalance, so class weights are not applied on top of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from dual_hpc.model.constants import constant
from dual_hpc.model.losses.classification import log_softmax, smoothed_nll
from dual_hpc.model.losses.registry import LOSSES, LossSettings


def log_priors(counts: Sequence[int]) -> list[float]:
    """Log of the training frequencies, with one sample added to each class so that none is infinite."""
    prior = torch.tensor([count + 1.0 for count in counts], dtype=torch.float64)
    return (prior / prior.sum()).log().tolist()


@lru_cache(maxsize=8)
def _priors(counts: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(log_priors(counts))


def logit_adjustment(logits: torch.Tensor, target: torch.Tensor, settings: LossSettings) -> torch.Tensor:
    """Logits [B, C] and classes [B] -> [B]."""
    if settings.class_counts is not None:
        logits = logits + constant(_priors(tuple(settings.class_counts)), logits.dtype, logits.device)
    return smoothed_nll(log_softmax(logits), target, settings.label_smoothing)


LOSSES.register("logit_adjustment", logit_adjustment)
