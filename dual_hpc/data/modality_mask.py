"""Batches with only some of their modalities: what evaluation of a subset sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dual_hpc.modality import Modality, parse_subset


def mask_except(batch: Mapping[str, Any], subset: str) -> dict[str, Any]:
    """The batch without the modalities that are not in `subset`: length 0, content zero, shapes unchanged.

    Args:
        subset: letters, such as "av".
    """
    kept = parse_subset(subset)
    masked = [key for modality in Modality if modality not in kept for key in modality.keys if key in batch]
    return {**batch, **{key: torch.zeros_like(batch[key]) for key in masked}}


def has_modality(batch: Mapping[str, Any], modality: Modality) -> torch.Tensor:
    """Which rows have a modality, as media or as features: bool [B]."""
    extents = [batch[key] for key in modality.length_keys if key in batch]
    return torch.stack([(extent if extent.dim() == 1 else extent.sum(1)) > 0 for extent in extents]).any(0)
