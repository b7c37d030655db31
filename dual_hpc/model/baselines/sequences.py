"""The modalities as sequences of one width: what every baseline above the encoders begins with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.encoders.base import Encoder
from dual_hpc.model.grid import grid_lengths, most_steps, resample
from dual_hpc.model.masking import blank, prefix_mask
from dual_hpc.model.positions import sinusoids

Found = Mapping[str, tuple[torch.Tensor, torch.Tensor]]  # modality -> [B, S, E] and lengths [B]


class ModalitySteps(nn.Module):
    """Linear map and LayerNorm; sound and pictures then come onto the common time grid, words stay one step each."""

    def __init__(self, input_size: int, width: int, source_hz: float | None, grid_hz: float) -> None:
        super().__init__()
        self.source_hz, self.grid_hz = source_hz, grid_hz
        self.project = nn.Sequential(nn.Linear(input_size, width), nn.LayerNorm(width))

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, durations: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """features [B, S, E], lengths [B], seconds [B] -> [B, T, W], zero beyond the lengths [B]; 0: missing."""
        x = self.project(features)
        if self.source_hz is not None:
            steps = most_steps(durations, self.grid_hz)
            x = resample(x, lengths, self.source_hz, steps, self.grid_hz)
            lengths = grid_lengths(durations, self.grid_hz) * (lengths > 0)
        return blank(x, prefix_mask(lengths, x.shape[1])), lengths


class AllSteps(nn.ModuleDict):
    """`ModalitySteps` of every modality that the model reads."""

    def __init__(self, model: EmotionModel, width: int) -> None:
        super().__init__()
        for name, encoder in encoders_of(model).items():
            rates = {"audio": getattr(encoder, "rate_hz", None), "video": model.config.preprocessing["video_hz"]}
            self[name] = ModalitySteps(encoder.output_size, width, rates.get(name), model.config.grid_hz)

    def forward(self, found: Found, durations: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """What `EmotionModel.encode` returns -> modality -> [B, T, W] and lengths [B]."""
        return {name: self[name](*found[name], durations) for name in self}


class TokenSequence(nn.Module):
    """A learned token, then the steps with their positions.

    The token is there for every sample: of a missing modality it is all that there is to attend to.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x [B, T, W] with lengths [B] -> [B, 1 + T, W] and bool mask [B, 1 + T]."""
        mask = prefix_mask(lengths + 1, x.shape[1] + 1)
        placed = torch.cat([self.token.expand(x.shape[0], 1, -1).to(x.dtype), x], dim=1)
        return blank(placed + sinusoids(placed.shape[1], placed.shape[2], placed), mask), mask


def encoders_of(model: EmotionModel) -> dict[str, Encoder]:
    """Modality -> encoder, of those that the model reads."""
    encoders = {"audio": model.audio_encoder, "video": model.video_encoder, "text": model.text_encoder}
    return {name: encoder for name, encoder in encoders.items() if encoder is not None}
