"""Text models of transformers, one vector per token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dual_hpc.errors import UserError
from dual_hpc.host_values import host_values
from dual_hpc.model.encoders.base import Context, Encoder, EncoderKind
from dual_hpc.model.encoders.pretrained import Architecture, complete_config, load_weights, new_backbone
from dual_hpc.model.masking import blank, pad_steps

if TYPE_CHECKING:
    from dual_hpc.config.schema import EncoderConfig


class TextEncoder(Encoder):
    """A transformers text model without its pooler."""

    def __init__(self, architecture: Architecture, config: dict[str, Any]) -> None:
        super().__init__()
        self.backbone = new_backbone(architecture, config)
        self.output_size = self.backbone.config.hidden_size
        self.padding = self.backbone.config.pad_token_id or 0

    def layers(self) -> Sequence[nn.Module]:
        return list(self.backbone.encoder.layer)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """input_ids, attention_mask i64 [B, L] -> features [B, max(L, 1), E] and their mask, bool.

        A sample without text is encoded as one padding token, so that its attention has something to look at; its
        mask stays empty.
        """
        full = all(all(row) and row for row in host_values(attention_mask))
        mask = pad_steps(attention_mask, 1).bool()
        ids = pad_steps(input_ids, 1).masked_fill(~mask, self.padding)
        seen = mask.clone()
        seen[:, 0] = True
        features = self.backbone(input_ids=ids, attention_mask=self._attention_mask(seen, full)).last_hidden_state
        return blank(features, mask), mask

    def _attention_mask(self, seen: torch.Tensor, full: bool) -> torch.Tensor | None:
        """What transformers makes of the mask bool [B, L], without its look at the values, which waits for the device.

        Args:
            full: nothing is padded.
        """
        if self.backbone.config._attn_implementation != "sdpa":
            return seen.long()
        return None if full else seen[:, None, None, :].expand(-1, -1, seen.shape[1], -1)


class TextKind(EncoderKind):
    """A text model of transformers, pretrained, or small, new, and with the tokenizer's vocabulary.

    Args:
        counts_from_padding: positions are counted from the padding token's number on, as RoBERTa does.
    """

    def __init__(self, architecture: Architecture, counts_from_padding: bool = False) -> None:
        self.architecture, self.counts_from_padding = architecture, counts_from_padding

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        tokenizer, tokens = context.tokenizer, context.preprocessing["max_tokens"]
        overrides = dict(section.config)
        reserved = 2 if self.counts_from_padding else 0
        if section.path is None:
            padding = tokenizer.pad_token_id or 0
            reserved = padding + 1 if self.counts_from_padding else 0
            sizes = {
                "vocab_size": len(tokenizer),
                "max_position_embeddings": tokens + reserved,
                "pad_token_id": padding,
            }
            overrides = {**sizes, **overrides}
        config = complete_config(self.architecture, overrides, section.path, context.setting)
        if tokens + reserved > config["max_position_embeddings"]:
            limit = config["max_position_embeddings"] - reserved
            raise UserError(f"data.max_tokens={tokens}: this text encoder reads at most {limit}")
        if len(tokenizer) > config["vocab_size"]:
            raise UserError(
                f"{context.setting}.path: the tokenizer has {len(tokenizer)} tokens but the encoder only "
                f"{config['vocab_size']}"
            )
        return {"config": config}

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> TextEncoder:
        return TextEncoder(self.architecture, spec["config"])

    def load(self, encoder: Any, path: str, setting: str) -> None:
        load_weights(self.architecture, encoder.backbone, path, setting)


# Configuration of a new model where no directory is given.
SMALL_TEXT = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
NO_POOLER = {"add_pooling_layer": False}
