"""The classification loss: one value per sample, so that a global batch has one loss however it is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn import functional

IGNORED = -100


def class_weights(counts: Sequence[int]) -> list[float]:
    """Inverse frequency, scaled so that the mean weight of a training sample is 1; 0 for a class never seen."""
    seen = sum(1 for count in counts if count > 0)
    return [sum(counts) / (seen * count) if count > 0 else 0.0 for count in counts]


def log_priors(counts: Sequence[int]) -> list[float]:
    """Log of the training frequencies, with one sample added to each class so that none is infinite."""
    prior = torch.tensor([count + 1.0 for count in counts], dtype=torch.float64)
    return (prior / prior.sum()).log().tolist()


def classification_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    kind: Literal["cross_entropy", "focal", "logit_adjustment"] = "cross_entropy",
    class_counts: Sequence[int] | None = None,
    weighted: bool = False,
    focal_gamma: float = 2.0,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Loss of each sample.

    Focal: Lin et al., 2017. Logit adjustment: Menon et al., 2021, log priors added to the logits in training; it
    already corrects for imbalance, so class weights are not applied on top of it.

    Args:
        logits: [B, C], any floating dtype; computed in fp32.
        labels: i64 [B]; -100 counts as no label and costs 0.
        class_counts: samples per class in the training split; without it there are no weights and no priors.

    Returns:
        f32 [B].
    """
    logits = logits.float()
    labelled = labels != IGNORED
    target = labels.masked_fill(~labelled, 0)
    if kind == "logit_adjustment" and class_counts is not None:
        logits = logits + logits.new_tensor(log_priors(class_counts))
    log_p = functional.log_softmax(logits, dim=-1)
    log_p_target = log_p.gather(1, target.unsqueeze(1)).squeeze(1)
    loss = -(1 - label_smoothing) * log_p_target - label_smoothing * log_p.mean(dim=-1)
    if kind == "focal":
        # The clamp keeps the gradient of (1 - p)^gamma finite at p = 1 for gamma < 1.
        loss = loss * (-torch.expm1(log_p_target)).clamp_min(1e-6) ** focal_gamma
    if weighted and class_counts is not None and kind != "logit_adjustment":
        loss = loss * logits.new_tensor(class_weights(class_counts))[target]
    return loss.masked_fill(~labelled, 0)
