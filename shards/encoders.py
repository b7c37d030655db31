"""Frozen encoders for feature shards: those of a saved model, or pretrained ones that a configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dual_hpc.config import RunConfig
from dual_hpc.errors import UserError
from dual_hpc.model import EmotionModel, build_model, load_model, load_tokenizer
from dual_hpc.model.encoders.frozen import FrozenEncoders, identity_of
from dual_hpc.model.encoders.origin import origin_of
from dual_hpc.model.encoders.registry import MODALITIES


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
