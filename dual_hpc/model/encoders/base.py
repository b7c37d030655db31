"""What the encoders of all modalities share: the module, and the kind by which a configuration chooses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dual_hpc.errors import UserError

if TYPE_CHECKING:
    from dual_hpc.config.encoder_section import EncoderConfig


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

    def choose_layers(self, layers: Any, setting: str) -> None:
        """Which of its layers' outputs are the features; `setting` is for messages.

        Raises:
            UserError: not the last one, where there is no other.
        """
        if layers != "last":
            raise UserError(f"{setting}={layers}: this kind of encoder gives its last layer only; write last")

    def unused(self) -> Iterator[nn.Parameter]:
        """Parameters that no answer depends on, and which are therefore not trained."""
        yield from ()

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
        written: the description that the run which now continues has written of it, `{}` if its version wrote none;
            None where the model is new.
    """

    setting: str
    preprocessing: dict[str, Any]
    tokenizer: Any = None
    written: dict[str, Any] | None = None


class EncoderKind:
    """A kind of encoder: how it is described, built and given pretrained weights.

    A description is plain data, `{"kind", "trainable", "config", ...}`, and complete: a saved model is built from it
    alone. `describe` returns what goes into it besides kind and trainable.
    """

    def new_config(self) -> dict[str, Any]:
        """What the `config` of a new encoder says where the user says nothing."""
        return {}

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
        added: keyword arguments that came when models had been written already: name -> what it means that a written
            description lacks it, and its value in a new one. Runs that continue and saved models stay as they were.
    """

    def __init__(
        self,
        make: Callable[..., Encoder],
        preprocessing: Sequence[str] = (),
        added: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> None:
        self.make, self.preprocessing, self.added = make, tuple(preprocessing), dict(added or {})

    def new_config(self) -> dict[str, Any]:
        return {name: value for name, (_, value) in self.added.items()}

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        if section.path is not None:
            raise UserError(
                f"{context.setting}.path: the {section.kind} encoder has no pretrained form; choose another "
                f"{context.setting}.kind"
            )
        said = self.new_config() if context.written is None else context.written.get("config", {})
        return {"config": {**{name: said[name] for name in self.added if name in said}, **section.config}}

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> Encoder:
        before = {name: value for name, (value, _) in self.added.items()}
        taken = {key: preprocessing[key] for key in self.preprocessing}
        return self.make(**taken, **{**before, **spec["config"]})
