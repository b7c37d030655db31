"""Plain concatenation: a recurrent network per modality, their summaries side by side, two linear maps.

The fusion by concatenation that papers on multimodal emotion call their baseline, as after Poria et al.,
*Context-Dependent Sentiment Analysis in User-Generated Videos* (ACL 2017). Simplified: GRUs instead of LSTMs, one
utterance at a time, without its context.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dual_hpc.model.baselines.configuration import BaselineConfig, BaselineOptions, check_width
from dual_hpc.model.baselines.matched import AsLargeAsDual
from dual_hpc.model.baselines.recurrent import RecurrentSummary
from dual_hpc.model.baselines.sequences import AllSteps
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.family import ModelFamily, register_family
from dual_hpc.model.output import EmotionOutput


class ConcatGruConfig(BaselineConfig):
    model_type = "concat_gru"


class ConcatGru(EmotionModel):
    """Two-directional GRU and mean per modality, concatenation, Linear, GELU, Linear; a missing modality is zeros.

    `layers` is the number of hidden maps after the concatenation.
    """

    config_class = ConcatGruConfig

    def __init__(self, config: ConcatGruConfig) -> None:
        super().__init__(config)
        options = config.option
        width = options["width"]
        self.steps = AllSteps(self, width)
        self.summaries = nn.ModuleDict({name: RecurrentSummary(width) for name in self.steps})
        joint = width * len(self.steps)
        hidden = [(nn.Dropout(config.dropout), nn.Linear(joint, joint), nn.GELU()) for _ in range(options["layers"])]
        self.head = nn.Sequential(
            *(part for parts in hidden for part in parts),
            nn.Dropout(config.dropout),
            nn.Linear(joint, config.outputs),
        )
        self.ready()

    def forward(self, *, durations: torch.Tensor, labels: torch.Tensor | None = None, **batch: Any) -> EmotionOutput:
        """One batch of utterances; see `SingleModality.forward`."""
        steps = self.steps(self.encode(batch), durations)
        joined = torch.cat([self.summaries[name](*one) for name, one in steps.items()], dim=-1)
        return self.answer(self.head(joined), labels)


register_family(
    ModelFamily(
        ConcatGruConfig,
        ConcatGru,
        options=BaselineOptions,
        check=check_width,
        complete=AsLargeAsDual(lambda model: 1),
    )
)
