"""From the configuration of a run to descriptions of encoders, and from those to encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.base import Context, Encoder
from dual_hpc.model.encoders.lora import add_lora
from dual_hpc.model.encoders.registry import ENCODERS, FEATURES, MODALITIES
from dual_hpc.model.load_errors import CONFIG_ERRORS, load_error_text

if TYPE_CHECKING:
    from dual_hpc.config.schema import ModelConfig

Specs = dict[str, dict[str, Any] | None]


def describe_encoders(
    config: ModelConfig, preprocessing: dict[str, Any], tokenizer: Any, written: Mapping[str, Any] | None = None
) -> Specs:
    """Modality -> complete description: small encoders given their sizes, pretrained ones read from their directories.

    Args:
        tokenizer: gives a new text encoder its vocabulary; may be None if `use_text` is off.
        written: the description of the model that the run wrote when it began; None where it begins now.

    Returns:
        None for a modality that is off.

    Raises:
        UserError: a setting that does not make an encoder, or a pretrained directory that cannot be used.
    """
    used = [name for name in MODALITIES if getattr(config, f"use_{name}")]
    stored = [name for name in used if getattr(config, name).kind == FEATURES]
    if stored and stored != used:
        other = next(name for name in used if name not in stored)
        raise UserError(f"model.{other}.kind: {stored[0]} is read from features, so {other} must be as well")
    if config.use_text and not stored and tokenizer is None:
        raise UserError(
            "model.use_text is on but there is no tokenizer: train on shards with transcripts or switch it off"
        )
    specs: Specs = dict.fromkeys(MODALITIES)
    for name in used:
        section = getattr(config, name)
        before = None if written is None else written.get(name) or {}
        context = Context(f"model.{name}", preprocessing, tokenizer, before)
        described = ENCODERS[name].get(section.kind).describe(section, context)
        chosen: dict[str, Any] = {} if section.layers == "last" else {"layers": section.layers}
        if section.trainable == "lora":
            chosen["lora"] = section.lora.model_dump(mode="json")
        specs[name] = {"kind": section.kind, "trainable": section.trainable, **chosen, **described}
    return specs


def build_encoder(modality: str, spec: dict[str, Any], preprocessing: dict[str, Any]) -> Encoder:
    """The encoder of a description, with fresh weights.

    Raises:
        UserError: its kind is not registered, or its `config` does not make one.
    """
    kind = ENCODERS[modality].get(spec["kind"])
    try:
        encoder = kind.build(spec, preprocessing)
        encoder.choose_layers(spec.get("layers", "last"), f"model.{modality}.layers")
        if spec.get("trainable") == "lora":
            _add_lora(encoder, spec.get("lora", {}), f"model.{modality}")
        return encoder
    except CONFIG_ERRORS as error:
        if isinstance(error, UserError) and str(error).startswith(f"model.{modality}."):
            raise  # it names its setting
        raise UserError(f"model.{modality}.config: {load_error_text(error)}") from error


def load_pretrained(modality: str, encoder: Encoder, config: ModelConfig) -> None:
    """Read the weights of the directory that `model.MODALITY.path` names, if it does.

    Raises:
        UserError: there are none that fit.
    """
    section = getattr(config, modality)
    if section.path is not None:
        ENCODERS[modality].get(section.kind).load(encoder, section.path, f"model.{modality}")


def _add_lora(encoder: Encoder, lora: dict[str, Any], setting: str) -> None:
    if (backbone := getattr(encoder, "backbone", None)) is None:
        raise UserError(f"{setting}.trainable=lora: this kind of encoder is no transformers model; write all or none")
    add_lora(backbone, lora["rank"], lora["alpha"], lora["targets"], f"{setting}.lora")
