"""Valence, arousal and dominance, which a model answers beside its classes, and their loss.

The concordance correlation CCC = 1 - MSE / (var + var' + (mean - mean')^2) of a batch depends on the batch as a whole:
cut into other micro-batches or ranks it would be another loss. Trained is instead the squared error of each sample over
twice the variance of the training part, which is 1 - CCC of answers that have the mean and the variance of its values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dual_hpc.model.constants import constant

DIMENSIONS = ("valence", "arousal", "dominance")
Scales = Mapping[str, Sequence[float]]  # dimension -> mean and standard deviation of the training part


def dimension_loss(outputs: torch.Tensor, values: torch.Tensor, scales: Scales) -> torch.Tensor:
    """Loss of each sample, the mean over the dimensions of which its value is known; 0 where none is.

    Args:
        outputs: of the model, f32 [B, D]: distances from the mean, in standard deviations.
        values: as the corpus gives them, f32 [B, D]; NaN: not known.

    Returns:
        f32 [B].
    """
    means, deviations = _columns(scales, outputs)
    known = torch.isfinite(values)
    wanted = (torch.where(known, values, means) - means) / deviations
    errors = (outputs - wanted).square() / 2 * known
    return errors.sum(dim=1) / known.sum(dim=1).clamp_min(1)


def in_units(outputs: torch.Tensor, scales: Scales) -> torch.Tensor:
    """The model's outputs [B, D] in the units of the corpus."""
    means, deviations = _columns(scales, outputs)
    return outputs * deviations + means


def scale_mistake(scales: Any) -> str | None:
    """What of a `config.json`'s `dimensions` no training could have written, in one line; else None."""
    if scales is None:
        return None
    if not isinstance(scales, dict) or not scales or not set(scales) <= set(DIMENSIONS):
        return f"dimensions: names of {', '.join(DIMENSIONS)}, with mean and standard deviation"
    for name, scale in scales.items():
        numbers = isinstance(scale, list) and len(scale) == 2 and all(isinstance(x, float | int) for x in scale)
        if not numbers or not -1e6 < scale[0] < 1e6 or not 0 < scale[1] < 1e6:
            return f"dimensions.{name}: must be a mean and a standard deviation above 0"
    return None


def _columns(scales: Scales, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    means, deviations = zip(*scales.values(), strict=True)
    return constant(tuple(means), like.dtype, like.device), constant(tuple(deviations), like.dtype, like.device)
