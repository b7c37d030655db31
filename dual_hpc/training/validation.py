"""Validation during training: the subset that chooses the best, and everything the model reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn

from dual_hpc.config.schema import RunConfig
from dual_hpc.data.modalities import keep
from dual_hpc.evaluation.metrics import scores
from dual_hpc.evaluation.predictions import predict_views
from dual_hpc.training.world import World


def subsets(config: RunConfig) -> list[str]:
    """The modality subsets that are scored: the choosing one first, then all that the model has."""
    model = config.model
    everything = "".join(
        letter for letter, used in (("a", model.use_audio), ("v", model.use_video), ("t", model.use_text)) if used
    )
    return list(dict.fromkeys([config.training.select_modalities, everything]))


def validate(
    model: nn.Module, loader: Iterable[Mapping[str, Any]], config: RunConfig, n_classes: int, world: World
) -> dict[str, float]:
    """Scores by name (`val/av/ua` ...), the same on all ranks. Collective."""
    views = {subset: partial(keep, modalities=subset) for subset in subsets(config)}
    found: dict[str, float] = {}
    for subset, answers in predict_views(model, loader, views, world.device, world.gather).items():
        for name, value in scores(answers.truth, answers.answers, n_classes).main().items():
            found[f"val/{subset}/{name}"] = value
    return found


def choosing_score(found: Mapping[str, float], config: RunConfig) -> float:
    """The value by which the best weights are chosen."""
    return found[f"val/{config.training.select_modalities}/{config.training.select_by}"]
