"""Frozen encoders for feature shards: those of a saved model, or pretrained ones that a configuration names."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dual_hpc.config import RunConfig
from dual_hpc.errors import UserError
from dual_hpc.model import EmotionModel, build_model, load_model, load_tokenizer
from dual_hpc.model.encoders.frozen import FrozenEncoders, identity_of, round_to_bf16
from dual_hpc.model.encoders.origin import in_half_precision, origin_of, side_by_side
from dual_hpc.model.encoders.registry import MODALITIES
from dual_hpc.model.encoders.stack import BackboneEncoder, LayerStack


def encoders_of_model(folder: Path) -> FrozenEncoders:
    """The encoders of a saved model.

    Raises:
        UserError: the directory holds no saved model, or one without encoders of its own.
    """
    model, tokenizer = load_model(folder)
    return _frozen(model, tokenizer, dict.fromkeys(MODALITIES, str(folder)), saved_model=True)


def encoders_of_config(config: RunConfig) -> FrozenEncoders:
    """The pretrained encoders that `model.audio.path`, `model.video.path` and `model.text.path` name.

    Raises:
        UserError: a modality in use has no pretrained encoder, or its directory is not one.
    """
    for name in MODALITIES:
        if getattr(config.model, f"use_{name}") and getattr(config.model, name).path is None:
            raise UserError(
                f"model.{name}.path: is not set, and an untrained encoder has nothing to extract; name a pretrained "
                f"directory, switch the modality off (model.use_{name}=false), or give a trained --model"
            )
    tokenizer = load_tokenizer(config.model.text.path) if config.model.use_text and config.model.text.path else None
    data = config.data
    preprocessing = {
        "sample_rate": 16_000,
        "image_size": data.image_size,
        "video_hz": data.video_hz,
        "max_seconds": data.max_seconds,
        "max_tokens": data.max_tokens,
    }
    paths = {name: str(getattr(config.model, name).path) for name in MODALITIES}
    model = build_model(config.model, ["any"], preprocessing, None, tokenizer)
    return _frozen(model, tokenizer, paths, saved_model=False)


def with_layers(encoders: FrozenEncoders, numbers: list[int] | None) -> FrozenEncoders:
    """Encoders that give several layers side by side: those of these numbers, or all; their record says which.

    Raises:
        UserError: an encoder has no such layer.
    """
    found, chosen = {}, {}
    for name, module in encoders.modules.items():
        if not isinstance(module, BackboneEncoder):
            if numbers is not None:
                raise UserError(f"--layers: {name}: this kind of encoder gives its last layer only; write last or all")
            continue
        try:
            found[name] = module.give_layers(numbers)
        except ValueError as error:
            raise UserError(f"--layers: {name}: {error}") from error
        if isinstance(module.mix, LayerStack):
            chosen[name] = module.mix.numbers
    assert encoders.origin is not None, "recorded where the encoders were read"
    record = side_by_side(encoders.origin, encoders.modules, chosen)
    identity = encoders.identity | {str(name): one.identity for name, one in record.encoders.items()}
    return replace(encoders, layers=found, identity=identity, origin=record.model_dump_json())


def in_bf16(encoders: FrozenEncoders) -> FrozenEncoders:
    """A copy whose parameters are bfloat16; its record says so."""
    modules = {name: copy.deepcopy(module) for name, module in encoders.modules.items()}
    for module in modules.values():
        round_to_bf16(module)
    assert encoders.origin is not None, "recorded where the encoders were read"
    record = in_half_precision(encoders.origin)
    identity = {str(name): one.identity for name, one in record.encoders.items()}
    return replace(encoders, modules=modules, identity=identity, origin=record.model_dump_json())


def relative_differences(encoders: FrozenEncoders, other: FrozenEncoders, batch: Mapping[str, Any]) -> dict[str, float]:
    """Modality -> root mean square of the difference of two encoders' features of a batch, relative to the first's."""
    squares: dict[str, tuple[float, float]] = {}
    for mine, theirs in zip(encoders.features(batch), other.features(batch), strict=True):
        for name, values in mine.items():
            off, size = squares.get(name, (0.0, 0.0))
            off += float((values - theirs[name]).square().sum())
            squares[name] = off, size + float(values.square().sum())
    return {name: (off / size) ** 0.5 if size else 0.0 for name, (off, size) in squares.items()}


def _frozen(model: EmotionModel, tokenizer: Any, paths: dict[str, str], *, saved_model: bool) -> FrozenEncoders:
    if model.config.reads_features:
        raise UserError("--model: it was trained on features; give the model whose encoders made them")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = {name: getattr(model, f"{name}_encoder") for name in MODALITIES}
    modules = {name: encoder.eval().requires_grad_(False) for name, encoder in found.items() if encoder is not None}
    specs = {name: getattr(model.config, name) for name in modules}
    preprocessing = dict(model.config.preprocessing)
    origin = origin_of(modules, specs, paths, preprocessing, tokenizer, saved_model=saved_model)
    identity = {name: identity_of(specs[name], encoder) for name, encoder in modules.items()}
    placed = {name: encoder.to(device) for name, encoder in modules.items()}
    return FrozenEncoders(placed, tokenizer, preprocessing, identity, device, origin)
