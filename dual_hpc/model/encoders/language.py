"""Text models of transformers, one vector per token."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from dual_hpc.errors import UserError
from dual_hpc.host_values import host_values
from dual_hpc.model.encoders.base import Context, EncoderKind
from dual_hpc.model.encoders.kinds import ListedKind
from dual_hpc.model.encoders.pretrained import Architecture, complete_config, load_weights, new_backbone
from dual_hpc.model.encoders.stack import BackboneEncoder
from dual_hpc.model.masking import blank, pad_steps

if TYPE_CHECKING:
    from dual_hpc.config.encoder_section import EncoderConfig


class TextEncoder(BackboneEncoder):
    """A transformers text model without its pooler; of a decoder, a word's features know the words before it.

    Args:
        pairs: the model takes a mask of pairs of tokens; else one of tokens.
    """

    def __init__(self, architecture: Architecture, config: dict[str, Any], pairs: bool = False) -> None:
        super().__init__()
        self.backbone = new_backbone(architecture, config)
        self.output_size = self.backbone.config.hidden_size
        self.padding = self.backbone.config.pad_token_id or 0
        self.pairs = pairs and self.backbone.config._attn_implementation == "sdpa"
        known = inspect.signature(self.backbone.forward).parameters
        self.options = {"use_cache": False} if "use_cache" in known else {}

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """input_ids, attention_mask i64 [B, L] -> features [B, max(L, 1), E] and their mask, bool.

        A sample without text is encoded as one padding token, so that its attention has something to look at; its
        mask stays empty.
        """
        full = not torch.compiler.is_exporting() and all(all(row) and row for row in host_values(attention_mask))
        mask = pad_steps(attention_mask, 1).bool()
        ids = pad_steps(input_ids, 1).masked_fill(~mask, self.padding)
        seen = mask.clone()
        seen[:, 0] = True
        features = self.hidden(input_ids=ids, attention_mask=self._attention_mask(seen, full), **self.options)
        return blank(features, mask), mask

    def _attention_mask(self, seen: torch.Tensor, full: bool) -> torch.Tensor | None:
        """What transformers makes of the mask bool [B, L], without its look at the values, which waits for the device.

        Args:
            full: nothing is padded.
        """
        if not self.pairs:
            return seen.long()
        return None if full else seen[:, None, None, :].expand(-1, -1, seen.shape[1], -1)


class TextKind(EncoderKind):
    """A text model of transformers, pretrained, or small, new, and with the tokenizer's vocabulary."""

    def __init__(self, architecture: Architecture, listed: ListedKind) -> None:
        self.architecture, self.pairs = architecture, listed.pairs
        self.counts_from_padding = listed.counts_from_padding

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        tokenizer, tokens = context.tokenizer, context.preprocessing["max_tokens"]
        overrides = dict(section.config)
        reserved = 0
        if section.path is None:
            padding = tokenizer.pad_token_id or 0
            reserved = padding + 1 if self.counts_from_padding else 0
            sizes = {
                "vocab_size": len(tokenizer),
                "max_position_embeddings": tokens + reserved,
                "pad_token_id": padding,
            }
            usual = self.architecture.config_class()
            for name in ("bos_token_id", "eos_token_id"):  # of a vocabulary of its own
                if isinstance(number := getattr(usual, name, None), int) and number >= len(tokenizer):
                    sizes[name] = padding
            overrides = {**sizes, **overrides}
        config = complete_config(self.architecture, overrides, section.path, context.setting)
        made = self.architecture.config_class.from_dict(dict(config))  # each architecture has names of its own
        positions = getattr(made, "max_position_embeddings", None)
        if self.counts_from_padding:
            reserved = (made.pad_token_id or 0) + 1
        if positions is not None and tokens + reserved > positions:
            raise UserError(f"data.max_tokens={tokens}: this text encoder reads at most {positions - reserved}")
        if len(tokenizer) > made.vocab_size:
            raise UserError(
                f"{context.setting}.path: the tokenizer has {len(tokenizer)} tokens but the encoder only "
                f"{made.vocab_size}"
            )
        return {"config": config}

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> TextEncoder:
        return TextEncoder(self.architecture, spec["config"], self.pairs)

    def load(self, encoder: Any, path: str, setting: str) -> None:
        load_weights(self.architecture, encoder.backbone, path, setting)
