"""From the configuration of a run to a model: encoders resolved, pretrained weights in place."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.config.consistency import check_model
from dual_hpc.errors import UserError
from dual_hpc.model.dual.configuration import DualConfig
from dual_hpc.model.dual.model import DualForEmotionClassification
from dual_hpc.model.encoders.transformer_kinds import PICTURES, SPEECH, WORDS, complete_config, load_weights, read_json

if TYPE_CHECKING:
    from dual_hpc.config.schema import EncoderConfig, ModelConfig


def build_model(
    config: ModelConfig,
    labels: list[str],
    preprocessing: dict[str, Any],
    class_counts: list[int] | None,
    tokenizer: Any,
) -> DualForEmotionClassification:
    """A DUAL model ready to be trained, in fp32 on the CPU.

    Args:
        labels: display names of the classes, in the order of the label numbers.
        preprocessing: see `DualConfig`.
        class_counts: samples per class in the training split; None: no class weights, no priors.
        tokenizer: gives a new text encoder its vocabulary; may be None if `use_text` is off.

    Raises:
        UserError: a setting that does not make a model, or a pretrained directory that cannot be used.
    """
    model = DualForEmotionClassification(resolve(config, labels, preprocessing, class_counts, tokenizer))
    for modality, kinds in (("audio", SPEECH), ("video", PICTURES), ("text", WORDS)):
        section, encoder = getattr(config, modality), getattr(model, f"{modality}_encoder")
        if encoder is not None and section.path is not None and section.kind in kinds:
            load_weights(kinds[section.kind], encoder.backbone, section.path, f"model.{modality}")
    return model


def resolve(
    config: ModelConfig,
    labels: list[str],
    preprocessing: dict[str, Any],
    class_counts: list[int] | None,
    tokenizer: Any,
) -> DualConfig:
    """The complete `DualConfig`: small encoders given their sizes, pretrained ones read from their directories."""
    check_model(config)
    used = [name for name in ("audio", "video", "text") if getattr(config, f"use_{name}")]
    stored = [name for name in used if getattr(config, name).kind == "features"]
    if stored and stored != used:
        other = next(name for name in used if name not in stored)
        raise UserError(f"model.{other}.kind: {stored[0]} is read from features, so {other} must be as well")
    if config.use_text and not stored and tokenizer is None:
        raise UserError(
            "model.use_text is on but there is no tokenizer: train on shards with transcripts or switch it off"
        )
    if class_counts is not None and len(class_counts) != len(labels):
        raise UserError(f"class_counts has {len(class_counts)} entries for {len(labels)} labels")
    keys = config.model_dump(exclude={"audio", "video", "text", "temperature"})
    return DualConfig(
        audio=_audio(config.audio) if config.use_audio else None,
        video=_video(config.video, preprocessing) if config.use_video else None,
        text=_text(config.text, preprocessing, tokenizer) if config.use_text else None,
        labels=list(labels),
        class_counts=list(class_counts) if class_counts is not None else None,
        preprocessing=dict(preprocessing),
        alignment_temperature=config.temperature,
        **keys,
    )


def _audio(section: EncoderConfig) -> dict[str, Any]:
    if section.kind == "features":  # type: ignore[attr-defined]
        return _spec(section, dict(section.config))
    if section.kind == "logmel":  # type: ignore[attr-defined]
        if section.path is not None:
            raise UserError(
                "model.audio.path: the logmel encoder has no pretrained form; choose another model.audio.kind"
            )
        return _spec(section, dict(section.config))
    config = complete_config(SPEECH[section.kind], section.config, section.path, "model.audio")  # type: ignore[attr-defined]
    extractor = _input_settings(section.path, "model.audio.path")
    return {**_spec(section, config), "normalize": bool(extractor.get("do_normalize", True))}


def _video(section: EncoderConfig, preprocessing: dict[str, Any]) -> dict[str, Any]:
    kind = section.kind  # type: ignore[attr-defined]
    if kind == "features" or (kind == "resnet" and section.path is None):
        return _spec(section, dict(section.config))
    overrides = section.config if section.path else {"image_size": preprocessing["image_size"], **section.config}
    spec = _spec(section, complete_config(PICTURES[kind], overrides, section.path, "model.video"))
    if scale := _scale(_input_settings(section.path, "model.video.path"), section.path):
        spec["scale"] = scale
    return spec


def _scale(extractor: dict[str, Any], path: str | None) -> dict[str, list[float]] | None:
    """Mean and deviation per RGB channel that pictures had in pretraining; None: those of the kind."""
    if extractor.get("do_normalize") is False:
        return {"mean": [0.0] * 3, "std": [1.0] * 3}
    mean, std = extractor.get("image_mean"), extractor.get("image_std")
    if mean is None or std is None:
        return None
    try:
        scale = {"mean": [float(value) for value in mean], "std": [float(value) for value in std]}
        usable = all(len(values) == 3 and all(map(isfinite, values)) for values in scale.values())
    except (TypeError, ValueError):
        usable = False
    if not usable or min(scale["std"]) <= 0:
        raise UserError(f"model.video.path: image_mean and image_std in {path}/preprocessor_config.json are no scale")
    return scale


def _text(section: EncoderConfig, preprocessing: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    kind = section.kind  # type: ignore[attr-defined]
    if kind == "features":
        return _spec(section, dict(section.config))
    overrides, tokens = dict(section.config), preprocessing["max_tokens"]
    reserved = 2 if kind == "roberta" else 0  # RoBERTa counts positions from its padding number on
    if section.path is None:
        padding = tokenizer.pad_token_id or 0
        reserved = padding + 1 if kind == "roberta" else 0
        sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": tokens + reserved, "pad_token_id": padding}
        overrides = {**sizes, **overrides}
    config = complete_config(WORDS[kind], overrides, section.path, "model.text")
    if tokens + reserved > config["max_position_embeddings"]:
        limit = config["max_position_embeddings"] - reserved
        raise UserError(f"data.max_tokens={tokens}: this text encoder reads at most {limit}")
    if len(tokenizer) > config["vocab_size"]:
        raise UserError(
            f"model.text.path: the tokenizer has {len(tokenizer)} tokens but the encoder only {config['vocab_size']}"
        )
    return _spec(section, config)


def _spec(section: EncoderConfig, config: dict[str, Any]) -> dict[str, Any]:
    return {"kind": section.kind, "trainable": section.trainable, "config": config}  # type: ignore[attr-defined]


def _input_settings(path: str | None, setting: str) -> dict[str, Any]:
    """`preprocessor_config.json` of a pretrained directory: how its inputs were scaled in training."""
    if path is None or not (Path(path) / "preprocessor_config.json").exists():
        return {}
    return read_json(Path(path), "preprocessor_config.json", setting)
