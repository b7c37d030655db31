"""What the encoders of all modalities share: the module, and the kind by which a configuration chooses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dual_hpc.errors import UserError

if TYPE_CHECKING:
    from dual_hpc.config.schema import EncoderConfig


class Encoder(nn.Module):
    """A module whose output has `output_size` features and whose `layers()` can be frozen from the bottom."""

    output_size: int
    frozen = False

    def layers(self) -> Sequence[nn.Module]:
        """Parts from bottom to top, those that `trainable: n` counts."""
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters, to which inputs are cast (an engine may have changed it)."""
        return next(self.parameters()).dtype

    def train(self, mode: bool = True) -> Encoder:
        """A frozen encoder stays in evaluation mode: its dropout would be noise that nothing can learn to use."""
        return super().train(mode and not self.frozen)


@dataclass(frozen=True)
class Context:
    """What the description of an encoder may depend on besides its own settings.

    Attributes:
        setting: its section of the configuration, for messages: "model.audio".
        preprocessing: see `EmotionConfig`.
        tokenizer: gives a new text encoder its vocabulary; None where the model reads no text.
    """

    setting: str
    preprocessing: dict[str, Any]
    tokenizer: Any = None


class EncoderKind:
    """A kind of encoder: how it is described, built and given pretrained weights.

    A description is plain data, `{"kind", "trainable", "config", ...}`, and complete: a saved model is built from it
    alone. `describe` returns what goes into it besides kind and trainable.
    """

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        """The description that the user's section makes.

        Raises:
            UserError: the section does not make an encoder.
        """
        raise NotImplementedError

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> Encoder:
        """The encoder of a description, with fresh weights."""
        raise NotImplementedError

    def load(self, encoder: Any, path: str, setting: str) -> None:
        """Read the weights of the pretrained directory that the section named.

        Raises:
            UserError: it holds none that fit.
        """
        raise NotImplementedError


class OwnEncoder(EncoderKind):
    """An encoder that is trained from scratch: `make(**config)`, with no pretrained form.

    Args:
        make: the encoder's class; `model.MODALITY.config` holds its keyword arguments.
        preprocessing: keys of the preprocessing that it takes as arguments too, such as "sample_rate".
    """

    def __init__(self, make: Callable[..., Encoder], preprocessing: Sequence[str] = ()) -> None:
        self.make, self.preprocessing = make, tuple(preprocessing)

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        if section.path is not None:
            raise UserError(
                f"{context.setting}.path: the {section.kind} encoder has no pretrained form; choose another "
                f"{context.setting}.kind"
            )
        return {"config": dict(section.config)}

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> Encoder:
        return self.make(**{key: preprocessing[key] for key in self.preprocessing}, **spec["config"])
