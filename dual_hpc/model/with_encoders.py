"""A model that was trained on features, with the encoders that made them in front: it answers media."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from dual_hpc.errors import UserError
from dual_hpc.modality import Modality
from dual_hpc.model.encoders.frozen import round_to_bf16
from dual_hpc.model.encoders.origin import load_encoders, recorded_encoders
from dual_hpc.model.encoders.registry import MODALITIES
from dual_hpc.model.inputs import MEDIA_INPUTS
from dual_hpc.model.saved import load_model
from dual_hpc.side_by_side import side_by_side

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

    def __init__(self, model: EmotionModel, encoders: Sequence[FrozenEncoders]) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.encoders = list(encoders)
        self.tokenizer = next((one.tokenizer for one in encoders if "text" in one.modules), None)
        # So that `to` moves them.
        self.modules_of_encoders = nn.ModuleList(nn.ModuleDict(one.modules) for one in encoders)
        self.preprocessing = {**model.config.preprocessing, **encoders[0].preprocessing}
        for one in encoders:
            read = {key for name in one.modules for key in Modality[name.upper()].made_with}
            self.preprocessing |= {key: one.preprocessing[key] for key in read}
            for name in one.in_bf16:
                round_to_bf16(one.modules[name])
        self._longest = float(model.config.preprocessing["max_seconds"])

    def forward(self, *, durations: torch.Tensor, **batch: Any) -> Any:
        """As the model's own, of media.

        Args:
            durations: seconds [B]; cut where the training of the model cut them, which may be before the encoders did.
            batch: tensors of media, and `output_...=True` of the model's own.
        """
        asked = {name: value for name, value in batch.items() if name.startswith("output_")}
        arguments: dict[str, Any] = {"durations": durations.clamp(max=self._longest), **asked}
        for name, (features, lengths) in self.features(batch, durations.device).items():
            arguments |= {name: features.float(), f"{name}_lengths": lengths}
        return self.model(**arguments)

    def features(self, batch: dict[str, Any], device: torch.device) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Modality -> features [B, S, E] as shards hold them, and their lengths [B]."""
        made: dict[str, list[_Made]] = {}
        for one in self.encoders:
            for name, (features, lengths) in replace(one, device=device).encode(batch).items():
                rates = {"audio": getattr(one.modules[name], "rate_hz", None), "video": one.preprocessing["video_hz"]}
                rounded = features.to(getattr(torch, one.dtype))
                made.setdefault(name, []).append(_Made(rounded, lengths, rates.get(name)))
        return {name: _joined(found) for name, found in made.items()}


class _Made(NamedTuple):
    features: torch.Tensor
    lengths: torch.Tensor
    hz: float | None


def _joined(found: Sequence[_Made]) -> tuple[torch.Tensor, torch.Tensor]:
    """What several encoders made of a modality, side by side as the data set puts it."""
    if len(found) == 1:
        return found[0].features, found[0].lengths
    cut = [zip(one.features.cpu().numpy(), one.lengths.tolist(), strict=True) for one in found]
    rows = [
        torch.from_numpy(side_by_side([array[:length] for array, length in each], [one.hz for one in found]))
        for each in zip(*cut, strict=True)
    ]
    lengths = torch.tensor([len(row) for row in rows])
    device = found[0].features.device
    return nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device), lengths.to(device)


def with_encoders(model: EmotionModel, folder: str | Path) -> WithEncoders:
    """A model of features with its encoders in front.

    Args:
        folder: that it was loaded from.

    Raises:
        UserError: it does not say which encoders made its features, or they are not there, or are others, or cannot
            be given the same clip.
    """
    config: Any = model.config
    records = recorded_encoders(config.to_dict(), folder)
    used = [name for name in MODALITIES if getattr(config, f"use_{name}")]
    if len({record.words for record in records if "text" in used and "text" in record.encoders}) > 1:
        raise UserError(
            f"model: {folder} was trained on words by encoders of different vocabularies, and a text is read by one: "
            "it answers shards of features alone"
        )
    return WithEncoders(model, load_encoders(records, used, Path(folder), load_model)).eval()


def load_for_media(folder: str | Path, *, verified: bool = False) -> tuple[Any, Any]:
    """A saved model that takes media, and its tokenizer: one of features comes with its encoders in front.

    Raises: as `load_model` and `with_encoders`.
    """
    model, tokenizer = load_model(folder, verified=verified)
    if not model.config.reads_features:
        return model, tokenizer
    front = with_encoders(model, folder)
    return front, front.tokenizer
