"""`trainable`: all of an encoder, none of it, or its top n layers."""

from __future__ import annotations

from typing import Literal

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.base import Encoder


def freeze(encoder: Encoder, trainable: Literal["all", "none"] | int, setting: str) -> None:
    """Leave gradients on for the top layers only; a wholly frozen encoder also stays in evaluation mode.

    Raises:
        UserError: a number outside the encoder's layers.
    """
    if trainable == "all":
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
    encoder.frozen = top == 0
    encoder.train(encoder.training)
