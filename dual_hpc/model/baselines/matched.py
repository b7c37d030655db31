"""How wide a baseline must be to have as many parameters as DUAL: what is compared is the model, not its size.

Counted is what lies above the encoders. The encoders are the same for every family, and pretrained ones are so large
that any two models would look alike beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from dual_hpc.config.schema import ModelConfig
from dual_hpc.model.baselines.configuration import BaselineConfig
from dual_hpc.model.dual.configuration import DualConfig
from dual_hpc.model.emotion_config import EmotionConfig
from dual_hpc.model.encoders.describe import build_encoder
from dual_hpc.model.encoders.registry import FEATURES, MODALITIES
from dual_hpc.model.family import FAMILIES

_WIDEST = 16_384


def depth_of_dual(model: ModelConfig) -> int:
    """The attention layers that lie one after another in DUAL."""
    return model.residual_layers + model.decoder_layers


@dataclass(frozen=True)
class AsLargeAsDual:
    """Completes a baseline's options: the family's depth, and the width at which it is as large as DUAL.

    Attributes:
        layers: the depth where the user says none.
    """

    layers: Callable[[ModelConfig], int]

    def __call__(self, model: ModelConfig, description: EmotionConfig) -> dict[str, Any]:
        """The options of a new run.

        Args:
            model: the user's section, with every modality that DUAL would read.
            description: of the baseline, with its encoders.
        """
        assert isinstance(description, BaselineConfig)
        options = {**description.option_class.model_validate(model.options).model_dump()}
        if options["layers"] is None:
            options["layers"] = self.layers(model)
        if options["width"] is None and options["layers"]:  # without layers there is nothing to be wide
            options["width"] = matched_width(model, description, options)
        return {name: value for name, value in options.items() if value is not None}


def matched_width(model: ModelConfig, description: BaselineConfig, options: dict[str, Any]) -> int:
    """The width at which the baseline's parameters above the encoders come closest to DUAL's."""
    sizes = encoder_sizes(description)
    step = math.lcm(2, model.num_heads)
    # DUAL reads modalities that a baseline of one modality has no encoder for; their inputs are taken as wide as DUAL.
    dual = {name: sizes.get(name, model.hidden_size) for name in MODALITIES if getattr(model, f"use_{name}")}
    reference = DualConfig.of_run(model, labels=description.labels, preprocessing=description.preprocessing)
    wanted = parameters_above_encoders(reference, dual)

    def size(steps: int) -> int:
        described = type(description).from_dict(
            {**description.to_dict(), "options": {**options, "width": steps * step}}
        )
        return parameters_above_encoders(described, sizes)

    low, high = 1, 2
    while size(high) < wanted and high * step < _WIDEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < wanted else (low, middle)
    return step * min(low, high, key=lambda steps: abs(size(steps) - wanted))


def parameters_above_encoders(description: EmotionConfig, sizes: dict[str, int]) -> int:
    """How many parameters a model has besides its encoders, whose features are so wide; no memory is taken."""
    stand_ins = {name: {"width": size, **({"rate_hz": 1.0} if name == "audio" else {})} for name, size in sizes.items()}
    specs = {name: {"kind": FEATURES, "trainable": "none", "config": config} for name, config in stand_ins.items()}
    with torch.device("meta"):
        model = FAMILIES.get(description.model_type).model_class(description.from_dict(description.to_dict() | specs))
    return sum(parameter.numel() for parameter in model.parameters())


def encoder_sizes(description: EmotionConfig) -> dict[str, int]:
    """Modality -> width of its encoder's features, of those that the model reads."""
    used = [name for name in MODALITIES if getattr(description, f"use_{name}")]
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return {
            name: build_encoder(name, getattr(description, name), description.preprocessing).output_size
            for name in used
        }
