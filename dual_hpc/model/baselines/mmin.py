"""A missing-modality imagination network, in the style of MMIN.

After Zhao, Li and Jin, *Missing Modality Imagination Network for Emotion Recognition with Uncertain Missing
Modalities* (ACL 2021). There a cascade of residual autoencoders imagines the missing modalities' embeddings from those
that are there, a second one imagines those back, and the emotion is read off the latent codes of the first.
Simplified: one training instead of two, so the embeddings to be imagined are this model's own, without gradient, and
not those of a model that was trained before on complete samples; GRUs for all modalities; which modalities a sample
lacks comes from the loop (`augment.drop_*`), and from a complete sample every pattern of missing ones is imagined.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import nn

from dual_hpc.errors import UserError
from dual_hpc.model.baselines.configuration import BaselineConfig, BaselineOptions, check_width
from dual_hpc.model.baselines.matched import AsLargeAsDual
from dual_hpc.model.baselines.recurrent import RecurrentSummary
from dual_hpc.model.baselines.sequences import AllSteps
from dual_hpc.model.constants import constant
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.family import ModelFamily, register_family
from dual_hpc.model.output import EmotionOutput

if TYPE_CHECKING:
    from dual_hpc.config.schema import ModelConfig


class MminOptions(BaselineOptions):
    """`layers` is the number of autoencoders in each cascade."""

    lambda_imagination: float = Field(1.0, ge=0, description="weight of the loss of what is imagined")
    lambda_cycle: float = Field(1.0, ge=0, description="weight of the loss of what is imagined back from that")


class MminConfig(BaselineConfig):
    model_type = "mmin"
    option_class = MminOptions


@dataclass
class MminOutput(EmotionOutput):
    """Output of `Mmin`.

    Attributes:
        loss: `loss_cls + lambda_imagination * loss_imagination + lambda_cycle * loss_cycle`; None without labels, as
            are its terms.
        loss_cls, loss_imagination, loss_cycle: means over all B samples; one that a term cannot use counts as 0.
    """

    loss_cls: torch.Tensor | None = None
    loss_imagination: torch.Tensor | None = None
    loss_cycle: torch.Tensor | None = None


class Cascade(nn.Module):
    """Autoencoders one after another, each of which reads the sum of the input and of all outputs before it."""

    def __init__(self, size: int, code: int, count: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Sequential(nn.Linear(size, code), nn.GELU()) for _ in range(count)])
        self.up = nn.ModuleList([nn.Linear(code, size) for _ in range(count)])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[N, size] -> the last output [N, size], and all codes [N, count * code]."""
        codes, last = [], x
        for down, up in zip(self.down, self.up, strict=True):
            codes.append(down(x))
            last = up(codes[-1])
            x = x + last
        return last, torch.cat(codes, dim=-1)


class Mmin(EmotionModel):
    """Embeddings h [B, M, W] of M modalities, zero where missing; cascades over [M * W]; a linear head on the codes."""

    config_class = MminConfig

    def __init__(self, config: MminConfig) -> None:
        super().__init__(config)
        self.option = config.option
        width, count = self.option["width"], self.option["layers"]
        self.steps = AllSteps(self, width)
        self.summaries = nn.ModuleDict({name: RecurrentSummary(width) for name in self.steps})
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in self.steps})
        size = width * len(self.steps)
        self.imagine = Cascade(size, width, count)
        self.imagine_back = Cascade(size, width, count)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(count * width, config.outputs))
        # Patterns of modalities that are shown: all but none of them and all of them.
        every = list(product((False, True), repeat=len(self.steps)))
        self.patterns = [pattern for pattern in every if any(pattern) and not all(pattern)]
        self.ready()

    def forward(self, *, durations: torch.Tensor, labels: torch.Tensor | None = None, **batch: Any) -> MminOutput:
        """One batch of utterances; see `SingleModality.forward`."""
        steps = self.steps(self.encode(batch), durations)
        present = torch.stack([lengths > 0 for _, lengths in steps.values()], dim=1)  # [B, M]
        embeddings = [self.norms[name](self.summaries[name](*one)) for name, one in steps.items()]
        h = torch.stack(embeddings, dim=1) * present.unsqueeze(-1)
        answers = self.head(self.imagine(h.flatten(1))[1]).float()
        logits, dimensions = self.divided(answers)
        output = MminOutput(logits=logits, dimensions=dimensions)
        if labels is not None:
            imagination, cycle = self.imagination_losses(h, present)
            output.loss_cls = self.classification_loss(answers, labels).mean()
            output.loss_imagination, output.loss_cycle = imagination.mean(), cycle.mean()
            output.loss = (
                output.loss_cls
                + self.option["lambda_imagination"] * output.loss_imagination
                + self.option["lambda_cycle"] * output.loss_cycle
            )
        return output

    def imagination_losses(self, h: torch.Tensor, present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean squared error of what is imagined, and of what is imagined back, over every pattern of the modalities.

        Args:
            h: [B, M, W], zero where missing.
            present: bool [B, M].

        Returns:
            f32 [B] each; 0 of a sample with fewer than two modalities, of which nothing can be held back.
        """
        flat = tuple(float(shown) for pattern in self.patterns for shown in pattern)
        patterns = constant(flat, torch.float32, h.device).reshape(len(self.patterns), -1).bool()  # [P, M]
        wanted = present.unsqueeze(1) & ~patterns  # [B, P, M]
        shown = present.unsqueeze(1) & patterns
        usable = wanted.any(-1, keepdim=True) & shown.any(-1, keepdim=True)
        wanted, shown = wanted & usable, shown & usable
        given = (h.unsqueeze(1) * shown.unsqueeze(-1)).flatten(2)  # [B, P, M * W]
        imagined, _ = self.imagine(given)
        imagined = imagined.unflatten(-1, (-1, h.shape[-1]))  # [B, P, M, W]
        back, _ = self.imagine_back((imagined * wanted.unsqueeze(-1)).flatten(2))
        back = back.unflatten(-1, (-1, h.shape[-1]))
        truth = h.detach().float().unsqueeze(1)
        return _mean_error(imagined, truth, wanted), _mean_error(back, truth, shown)


def _mean_error(found: torch.Tensor, truth: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """[B, P, M, W] beside truth [B, 1, M, W], of those chosen (bool [B, P, M]) -> f32 [B]; 0 where none is."""
    error = (found.float() - truth).square().mean(-1) * chosen
    return error.sum((1, 2)) / chosen.sum((1, 2)).clamp_min(1)


def check(model: ModelConfig) -> None:
    """Nothing can be imagined from nothing.

    Raises:
        UserError: names the settings.
    """
    if model.use_audio + model.use_video + model.use_text < 2:
        raise UserError("model.family=mmin imagines one modality from another: leave two of model.use_* on")
    check_width(model)


register_family(
    ModelFamily(
        MminConfig,
        Mmin,
        losses=("loss", "loss_cls", "loss_imagination", "loss_cycle"),
        options=MminOptions,
        check=check,
        complete=AsLargeAsDual(lambda model: 3),
    )
)
