"""Validation during training: scores for the subset that selects the best weights, and for all modalities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from dual_hpc.config.schema import RunConfig
from dual_hpc.data.modality_mask import mask_except
from dual_hpc.evaluation.dimension_scores import mean_concordance
from dual_hpc.evaluation.predictions import Predictions, predict_views
from dual_hpc.evaluation.selection import selecting_subset
from dual_hpc.evaluation.temperature import confidence_in
from dual_hpc.heartbeat import beat
from dual_hpc.modality import Modality, format_subset
from dual_hpc.model.confidence import Confidence
from dual_hpc.model.family import FAMILIES
from dual_hpc.training.distributed import World


def subsets(config: RunConfig) -> list[str]:
    """The modality subsets that are scored: first the one that selects, then all that the model has."""
    selecting, every = selecting_subset(config), _all_modalities(config)
    return [selecting] if set(every) <= set(selecting) else [selecting, every]  # what it does not read changes nothing


def _all_modalities(config: RunConfig) -> str:
    return format_subset(modality for modality in Modality if getattr(config.model, f"use_{modality}"))


@dataclass(frozen=True)
class Validation:
    """Of one step; the same on all ranks.

    Attributes:
        scores: by name, `val/av/ua` ...
        answers: subset -> what the model said of the validation split.
    """

    scores: dict[str, float]
    answers: dict[str, Predictions]

    def confidence(self) -> Confidence | None:
        """How sure the model may be with all of its modalities; None where nothing can be said."""
        return confidence_in(self.answers)


class Interrupted(Exception):
    """A rank was asked to stop; raised on all ranks at the same batch."""


def validate(
    model: nn.Module,
    loader: Iterable[Mapping[str, Any]],
    config: RunConfig,
    n_classes: int,
    world: World,
    stop_asked: Callable[[], bool] = lambda: False,
    dimensions: Mapping[str, Sequence[float | None]] | None = None,
) -> Validation:
    """Answers, their scores by name (`val/av/ua` ...), and the mean negative log likelihood of the true classes
    (`val/av/loss`, nats: without class weights and smoothing), with dimensions their mean concordance (`val/av/ccc`);
    the same on all ranks. Collective.

    Args:
        stop_asked: True once this rank is asked to stop.
        dimensions: key -> values, where the model learns them.

    Raises:
        Interrupted: on all ranks, once one was asked: a validation may last longer than the time given for stopping.
    """
    loader = _until_stop(loader, stop_asked, world)
    views = {subset: partial(mask_except, subset=subset) for subset in subsets(config)}
    scores: dict[str, float] = {}
    inputs = FAMILIES.get(config.model.family).inputs
    found = predict_views(model, loader, views, world.device, world.all_gather, inputs)
    for subset, answers in found.items():
        scores[f"val/{subset}/loss"] = answers.log_loss()
        for name, value in answers.scores(n_classes).values.items():
            scores[f"val/{subset}/{name}"] = value
        if answers.dimensions is not None:
            scores[f"val/{subset}/ccc"] = mean_concordance(answers, dimensions or {})
    return Validation(scores, found)


def _until_stop(
    loader: Iterable[Mapping[str, Any]], stop_asked: Callable[[], bool], world: World
) -> Iterator[Mapping[str, Any]]:
    """The batches; every rank has the same number of them, and agrees before each."""
    for batch in loader:
        if world.all_reduce_sum(torch.tensor([float(stop_asked())], device=world.device)).item():
            raise Interrupted
        yield batch
        beat()


def selection_score(scores: Mapping[str, float], config: RunConfig) -> float:
    """The score that selects the best weights."""
    return scores[f"val/{selecting_subset(config)}/{config.training.select_by}"]
