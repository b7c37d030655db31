"""Whether a run reads media or stored features: its shards decide, and the configuration follows them."""

from __future__ import annotations

from typing import Any

from dual_hpc.config import RunConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import feature_source
from dual_hpc.data.format.feature_sets import Choice
from dual_hpc.errors import UserError
from dual_hpc.modality import Modality
from dual_hpc.model.family import FAMILIES


def sets_of_config(config: RunConfig) -> Choice:
    """The sets of features that a run reads, where its shards are a folder of several."""
    model = FAMILIES.get(config.model.family).narrowed(config.model)
    names = {str(one): sorted(set(getattr(model, str(one)).features)) for one in Modality}
    return {name: (chosen or None) if getattr(model, f"use_{name}") else () for name, chosen in names.items()}


def config_for_shards(config: RunConfig, shard_set: ShardDataset) -> RunConfig:
    """The configuration that fits the shards, with those modalities off that the model cannot read.

    Media: the encoders stay. Features: the encoders and the preprocessing become those that made the features; only a
    smaller `data.max_seconds` is kept.

    Raises:
        UserError: encoders of the kind `features` for media, a modality in use without features, or features that
            were made differently.
    """
    model = FAMILIES.get(config.model.family).narrowed(config.model)
    if model is not config.model:
        config = config.model_copy(update={"model": model})
    used = [str(modality) for modality in Modality if getattr(config.model, f"use_{modality}")]
    source = feature_source(shard_set)
    named = next((name for name in used if getattr(config.model, name).features), None)
    if named is not None and not any(shard_set.sets):
        raise UserError(
            f"model.{named}.features: data.shards is not a folder of several sets of features; leave it out, or name "
            "the folder that they lie in"
        )
    if source is None:
        if stored := [name for name in used if getattr(config.model, name).kind == "features"]:
            raise UserError(
                f"model.{stored[0]}.kind: features, but data.shards holds media; run `dual-hpc extract` on them first"
            )
        return config
    encoders = {}
    for name in used:
        if name not in source.encoders:
            raise UserError(f"model.use_{name}: data.shards holds no {name} features; set model.use_{name}=false")
        section = getattr(config.model, name)
        read: dict[str, Any] = {"config": source.encoders[name], "features": section.features}
        encoders[name] = type(section)(kind="features", trainable="none", **read)
    made = {key: value for key, value in source.preprocessing.items() if key in type(config.data).model_fields}
    made["max_seconds"] = min(made["max_seconds"], config.data.max_seconds)
    return config.model_copy(
        update={"data": config.data.model_copy(update=made), "model": config.model.model_copy(update=encoders)}
    )
