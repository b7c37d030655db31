"""Mismatched inputs: what a model that attends to a modality cannot answer as before.

The rule: results are shown together with those for audio and video taken from different utterances, and for
misleading text. Both come from the batch at hand, whose utterances are of about one length: each gets the modality of
the next one that has another label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dual_hpc.data.modality_mask import has_modality, mask_except
from dual_hpc.modality import Modality

# name -> what the model is shown, and which part of it is another utterance's
CONTROLS = {"mismatched video": ("av", "v"), "mismatched text": ("avt", "t")}


def mismatched(batch: Mapping[str, Any], modalities: str, swapped: str) -> dict[str, Any]:
    """The batch with `modalities` left, of which `swapped` comes from an utterance with another label.

    `valid` is False for utterances that lack it, or have no partner in their batch.
    """
    modality = Modality.from_letter(swapped)
    able = batch["valid"] & has_modality(batch, modality)
    partner = partners(batch["labels"], able)
    rows = partner.clamp_min(0)
    other = {key: batch[key][rows] for key in modality.keys if key in batch}
    return mask_except({**batch, **other, "valid": able & (partner >= 0)}, modalities)


def partners(labels: torch.Tensor, able: torch.Tensor) -> torch.Tensor:
    """The next row, cyclically, that is able and has another label: i64 [B] and bool [B] -> i64 [B], -1 for none."""
    size = len(labels)
    order = (torch.arange(size).unsqueeze(1) + torch.arange(1, size + 1)) % size
    fits = (labels[order] != labels.unsqueeze(1)) & able[order]
    first = order.gather(1, fits.int().argmax(1, keepdim=True)).squeeze(1)
    return torch.where(fits.any(1), first, -1)
