"""BERT and RoBERTa of transformers, one vector per token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dual_hpc.model.encoders.base import Encoder
from dual_hpc.model.encoders.transformer_kinds import WORDS, new_backbone
from dual_hpc.model.masking import blank, pad_steps


class WordEncoder(Encoder):
    """A transformers text model without its pooler."""

    def __init__(self, kind: str, config: dict[str, Any]) -> None:
        super().__init__()
        self.backbone = new_backbone(WORDS[kind], config)
        self.output_size = self.backbone.config.hidden_size
        self.padding = self.backbone.config.pad_token_id or 0

    def layers(self) -> Sequence[nn.Module]:
        return list(self.backbone.encoder.layer)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """input_ids, attention_mask i64 [B, L] -> features [B, max(L, 1), E] and their mask, bool.

        A sample without text is encoded as one padding token, so that its attention has something to look at; its
        mask stays empty.
        """
        mask = pad_steps(attention_mask, 1).bool()
        ids = pad_steps(input_ids, 1).masked_fill(~mask, self.padding)
        seen = mask.clone()
        seen[:, 0] = True
        features = self.backbone(input_ids=ids, attention_mask=seen.long()).last_hidden_state
        return blank(features, mask), mask
