"""A model that was trained on features, with the encoders that made them in front: it answers media."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dual_hpc.model.encoders.origin import load_encoders, recorded_encoders
from dual_hpc.model.encoders.registry import MODALITIES
from dual_hpc.model.inputs import MEDIA_INPUTS
from dual_hpc.model.saved import load_model

if TYPE_CHECKING:
    from dual_hpc.model.emotion_model import EmotionModel
    from dual_hpc.model.encoders.frozen import FrozenEncoders


class WithEncoders(nn.Module):
    """Takes the tensors of a batch of media, and gives what the model makes of their features.

    Attributes:
        config: of the model; its `preprocessing` is what the model reads of the features.
        preprocessing: of the media, that of the encoders.
        inputs: names of the tensors that `forward` takes.
    """

    inputs = (*MEDIA_INPUTS, "durations")

    def __init__(self, model: EmotionModel, encoders: FrozenEncoders, dtype: str) -> None:
        super().__init__()
        self.model, self.config, self.tokenizer = model, model.config, encoders.tokenizer
        self.encoders = encoders
        self.modules_of_encoders = nn.ModuleDict(encoders.modules)  # so that `to` moves them
        self.preprocessing = {**model.config.preprocessing, **encoders.preprocessing}
        self._dtype = getattr(torch, dtype)
        self._longest = float(model.config.preprocessing["max_seconds"])

    def forward(self, *, durations: torch.Tensor, **batch: Any) -> Any:
        """As the model's own, of media.

        Args:
            durations: seconds [B]; cut where the training of the model cut them, which may be before the encoders did.
            batch: tensors of media, and `output_...=True` of the model's own.
        """
        asked = {name: value for name, value in batch.items() if name.startswith("output_")}
        arguments: dict[str, Any] = {"durations": durations.clamp(max=self._longest), **asked}
        for name, (features, lengths) in self._placed(durations).encode(batch).items():
            # Rounded as they are in shards.
            arguments |= {name: features.to(self._dtype).float(), f"{name}_lengths": lengths}
        return self.model(**arguments)

    def _placed(self, durations: torch.Tensor) -> FrozenEncoders:
        """The encoders, which feed the device that the batch is on."""
        return replace(self.encoders, device=durations.device)


def with_encoders(model: EmotionModel, folder: str | Path) -> WithEncoders:
    """A model of features with its encoders in front.

    Args:
        folder: that it was loaded from.

    Raises:
        UserError: it does not say which encoders made its features, or they are not there, or are others.
    """
    config: Any = model.config
    record = recorded_encoders(config.to_dict(), folder)
    used = [name for name in MODALITIES if getattr(config, f"use_{name}")]
    encoders = load_encoders(record, used, Path(folder), load_model)
    return WithEncoders(model, encoders, record.dtype).eval()


def load_for_media(folder: str | Path, *, verified: bool = False) -> tuple[Any, Any]:
    """A saved model that takes media, and its tokenizer: one of features comes with its encoders in front.

    Raises: as `load_model` and `with_encoders`.
    """
    model, tokenizer = load_model(folder, verified=verified)
    if not model.config.reads_features:
        return model, tokenizer
    front = with_encoders(model, folder)
    return front, front.tokenizer
