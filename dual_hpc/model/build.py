"""From the configuration of a run to a model of its family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dual_hpc.config.consistency import check_model
from dual_hpc.errors import UserError
from dual_hpc.model.encoders.describe import describe_encoders, load_pretrained
from dual_hpc.model.encoders.registry import MODALITIES
from dual_hpc.model.family import FAMILIES
from dual_hpc.model.names import check_names, plugins_of

if TYPE_CHECKING:
    from dual_hpc.config.schema import ModelConfig
    from dual_hpc.model.emotion_model import EmotionModel


def build_model(
    config: ModelConfig,
    labels: list[str],
    preprocessing: dict[str, Any],
    class_counts: list[int] | None,
    tokenizer: Any,
    written: Mapping[str, Any] | None = None,
    preparation: dict[str, Any] | None = None,
    feature_encoders: dict[str, Any] | None = None,
    dimensions: Mapping[str, list[float]] | None = None,
) -> EmotionModel:
    """A model ready to be trained, in fp32 on the CPU, with pretrained weights in place.

    Args:
        labels: display names of the classes, in the order of the label numbers.
        preprocessing: see `EmotionConfig`.
        class_counts: samples per class in the training split; None: no class weights, no priors.
        tokenizer: gives a new text encoder its vocabulary; may be None if `use_text` is off.
        written: the description of the model that the run wrote when it began; None where it begins now.
        preparation, feature_encoders, dimensions: see `EmotionConfig`.

    Raises:
        UserError: a setting that does not make a model, or a pretrained directory that cannot be used.
    """
    check_model(config)
    check_names(config)
    if class_counts is not None and len(class_counts) != len(labels):
        raise UserError(f"class_counts has {len(class_counts)} entries for {len(labels)} labels")
    family = FAMILIES.get(config.family)
    narrowed = family.narrowed(config)
    description = family.config_class.of_run(
        narrowed,
        **describe_encoders(narrowed, preprocessing, tokenizer, written),
        labels=list(labels),
        class_counts=list(class_counts) if class_counts is not None else None,
        preprocessing=dict(preprocessing),
        preparation=preparation,
        feature_encoders=feature_encoders,
        dimensions=dimensions,
        plugins=plugins_of(config),
    )
    if written:
        options = written.get("options", {})  # of a model that lacks them: what its code then did
    else:
        options = config.options if family.complete is None else family.complete(config, description)
    if options:
        description.options = dict(options)
    model = family.model_class(description)
    for name in MODALITIES:
        if (encoder := getattr(model, f"{name}_encoder", None)) is not None:
            load_pretrained(name, encoder, narrowed)
    return model
