"""`trainable`: all of an encoder, none of it, its top n layers, or what LoRA adds to it."""

from __future__ import annotations

from typing import Literal

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.base import Encoder
from dual_hpc.model.encoders.lora import lora_parameters


def freeze(encoder: Encoder, trainable: Literal["all", "none", "lora"] | int, setting: str) -> None:
    """Leave gradients on for the top layers only; a wholly frozen encoder also stays in evaluation mode.

    Raises:
        UserError: a number outside the encoder's layers.
    """
    if trainable == "all":
        _leave_out(encoder)
        return
    if trainable == "lora":
        encoder.requires_grad_(False)
        for parameter in lora_parameters(encoder):
            parameter.requires_grad_(True)
        _train_mix(encoder)
        _leave_out(encoder)
        return
    layers = encoder.layers()
    top = 0 if trainable == "none" else int(trainable)
    if not 0 <= top <= len(layers):
        raise UserError(
            f"{setting}={trainable}: this encoder has {len(layers)} layers; write 0-{len(layers)}, all or none"
        )
    encoder.requires_grad_(False)
    for layer in layers[len(layers) - top :]:
        layer.requires_grad_(True)
    _train_mix(encoder)
    _leave_out(encoder)
    encoder.frozen = top == 0
    encoder.train(encoder.training)


def _train_mix(encoder: Encoder) -> None:
    """The weights of a mix of layers are learned whatever is frozen."""
    if (mix := getattr(encoder, "mix", None)) is not None:
        mix.requires_grad_(True)


def _leave_out(encoder: Encoder) -> None:
    for parameter in encoder.unused():
        parameter.requires_grad_(False)
