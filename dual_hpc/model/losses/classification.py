"""What classification losses share: one value per sample, so that a global batch has one loss however it is cut."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from dual_hpc.model.constants import constant
from dual_hpc.model.losses.registry import LOSSES, LossSettings

IGNORED = -100


def classification_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    kind: str = "cross_entropy",
    class_counts: Sequence[int] | None = None,
    weighted: bool = False,
    focal_gamma: float = 2.0,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Loss of each sample.

    Args:
        logits: [B, C], any floating dtype; computed in fp32.
        labels: i64 [B]; -100 counts as no label and costs 0. Or distributions, float [B, C]: the loss is their
            Kullback-Leibler divergence to the answer, whatever `kind`; a row of zeros costs 0.
        kind: a name of `LOSSES`.
        class_counts: samples per class in the training split; without it there are no weights and no priors.

    Returns:
        f32 [B].

    Raises:
        UserError: there is no loss of this name.
    """
    if labels.is_floating_point():
        return soft_loss(logits.float(), labels.float(), class_counts if weighted else None)
    labelled = labels != IGNORED
    target = labels.masked_fill(~labelled, 0)
    settings = LossSettings(class_counts, weighted, focal_gamma, label_smoothing)
    return LOSSES.get(kind)(logits.float(), target, settings).masked_fill(~labelled, 0)


def soft_loss(logits: torch.Tensor, shares: torch.Tensor, class_counts: Sequence[int] | None = None) -> torch.Tensor:
    """KL(shares || softmax(logits)) of each sample: logits and shares [B, C] -> [B].

    Args:
        class_counts: weigh each sample by what its shares expect of the weights of the classes; None: all alike.
    """
    divergence = (torch.xlogy(shares, shares) - shares * log_softmax(logits)).sum(dim=-1)
    if class_counts is None:
        return divergence
    weights = constant(tuple(class_weights(class_counts)), shares.dtype, shares.device)
    return divergence * (shares * weights).sum(dim=-1)


def smoothed_nll(log_p: torch.Tensor, target: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    """Negative log-likelihood with a share of the target spread over all classes: log_p [B, C], target [B] -> [B]."""
    log_p_target = log_p.gather(1, target.unsqueeze(1)).squeeze(1)
    return -(1 - label_smoothing) * log_p_target - label_smoothing * log_p.mean(dim=-1)


def class_weighted(loss: torch.Tensor, target: torch.Tensor, settings: LossSettings) -> torch.Tensor:
    """`loss` [B] times the weight of each sample's class, where weights are asked for."""
    if not settings.weighted or settings.class_counts is None:
        return loss
    weights = tuple(class_weights(settings.class_counts))
    return loss * constant(weights, loss.dtype, loss.device).index_select(0, target)


def class_weights(counts: Sequence[int]) -> list[float]:
    """Inverse frequency, scaled so that the mean weight of a training sample is 1; 0 for a class never seen."""
    seen = sum(1 for count in counts if count > 0)
    return [sum(counts) / (seen * count) if count > 0 else 0.0 for count in counts]


def log_softmax(logits: torch.Tensor) -> torch.Tensor:
    """[B, C] -> [B, C]."""
    return functional.log_softmax(logits, dim=-1)
