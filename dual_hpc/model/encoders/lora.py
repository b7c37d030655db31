"""LoRA: what fine-tuning would add to a weight, as the product of two thin matrices, while the weight itself is frozen.

W x becomes W x + (alpha / rank) * up(down(x)), and up is zero at first. Hu et al. 2021, as in peft, whose layers give
the same numbers; it is not needed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.errors import UserError
from dual_hpc.model.torchaudio_stub import install

install()

from transformers.pytorch_utils import Conv1D  # noqa: E402  (GPT-2's linear layer, whose weight is [in, out])

# Endings of the layers' names in the architectures that are known: queries and values of attention.
USUAL = (
    *("q_proj", "v_proj", "query", "value", "query_proj", "value_proj", "linear_q", "linear_v", "q_lin", "v_lin"),
    *("qkv", "qkv_proj", "Wqkv", "query_key_value", "attn.q", "attn.v", "c_attn"),
)


class LoraLinear(nn.Module):
    """A frozen linear layer and what is learned on top.

    Args:
        base: the layer.
        rank: width of the product's middle.
        alpha: the product's factor is alpha / rank.
    """

    def __init__(self, base: nn.Linear | Conv1D, rank: int, alpha: float) -> None:
        super().__init__()
        self.base, self.scale, self.turned = base, alpha / rank, isinstance(base, Conv1D)
        sizes = base.weight.shape if self.turned else base.weight.shape[::-1]
        self.in_features, self.out_features = (int(size) for size in sizes)
        # Not linear layers: the model around would set those to random numbers as it does its own.
        self.down = nn.Parameter(torch.empty(rank, self.in_features))
        self.up = nn.Parameter(torch.zeros(self.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    @property
    def weight(self) -> torch.Tensor:
        """Of the one layer that this is, for models that multiply with it themselves (WavLM)."""
        change = self.scale * (self.up @ self.down)
        return self.base.weight + (change.T if self.turned else change)

    @property
    def bias(self) -> torch.Tensor | None:
        return self.base.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in_features] -> [..., out_features]."""
        return self.base(x) + self.scale * functional.linear(functional.linear(x, self.down), self.up)


def add_lora(backbone: nn.Module, rank: int, alpha: float, targets: Sequence[str], setting: str) -> None:
    """Replace the linear layers whose names end in one of `targets` (empty: the usual ones).

    Raises:
        UserError: none does.
    """
    wanted = tuple(targets) or USUAL
    found = [
        (name, module)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and any(name == target or name.endswith(f".{target}") for target in wanted)
    ]
    if not found:
        modules = backbone.named_modules()
        linear = {name.rsplit(".", 1)[-1] for name, module in modules if isinstance(module, nn.Linear | Conv1D)}
        raise UserError(
            f"{setting}.targets: no linear layer's name ends in {', '.join(wanted[:6])}; this encoder has "
            f"{', '.join(sorted(linear)) or 'none'}"
        )
    for name, module in found:
        holder = backbone.get_submodule(name.rpartition(".")[0])
        setattr(holder, name.rpartition(".")[2], LoraLinear(module, rank, alpha))


def lora_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """What is learned on top of frozen layers inside `module`."""
    for part in module.modules():
        if isinstance(part, LoraLinear):
            yield from (part.down, part.up)


def with_lora_names(backbone: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a model without LoRA under the names that they have in `backbone`, and what it has besides."""
    own = {name for name, part in backbone.named_modules() if isinstance(part, LoraLinear)}
    if not own:
        return dict(weights)
    renamed = {}
    for name, value in weights.items():
        layer, _, kind = name.rpartition(".")
        renamed[f"{layer}.base.{kind}" if layer in own else name] = value
    return {**backbone.state_dict(), **renamed}
