"""Validation during training: the subset that chooses the best, and everything the model reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from dual_hpc.config.schema import RunConfig
from dual_hpc.data.modality_mask import mask_except
from dual_hpc.evaluation.metrics import scores
from dual_hpc.evaluation.predictions import predict_views
from dual_hpc.modality import Modality, format_subset
from dual_hpc.training.distributed import World


def subsets(config: RunConfig) -> list[str]:
    """The modality subsets that are scored: the choosing one first, then all that the model has."""
    model = config.model
    everything = format_subset(modality for modality in Modality if getattr(model, f"use_{modality}"))
    return list(dict.fromkeys([config.training.select_modalities, everything]))


class Interrupted(Exception):
    """A rank was asked to stop; raised on all ranks at the same batch."""


def validate(
    model: nn.Module,
    loader: Iterable[Mapping[str, Any]],
    config: RunConfig,
    n_classes: int,
    world: World,
    asked: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Scores by name (`val/av/ua` ...), the same on all ranks. Collective.

    Args:
        asked: True once this rank is asked to stop.

    Raises:
        Interrupted: on all ranks, once one was asked: a validation may last longer than the time given for stopping.
    """
    loader = _until(loader, asked, world)
    views = {subset: partial(mask_except, subset=subset) for subset in subsets(config)}
    found: dict[str, float] = {}
    for subset, answers in predict_views(model, loader, views, world.device, world.gather).items():
        for name, value in scores(answers.truth, answers.answers, n_classes).main().items():
            found[f"val/{subset}/{name}"] = value
    return found


def _until(loader: Iterable[Mapping[str, Any]], asked: Callable[[], bool], world: World) -> Iterator[Mapping[str, Any]]:
    """The batches, which are as many on every rank."""
    for batch in loader:
        if world.sum(torch.tensor([float(asked())], device=world.device)).item():
            raise Interrupted
        yield batch


def choosing_score(found: Mapping[str, float], config: RunConfig) -> float:
    """The value by which the best weights are chosen."""
    return found[f"val/{config.training.select_modalities}/{config.training.select_by}"]
