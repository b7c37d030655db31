"""Where the layers of an architecture of transformers are, and the weighted sum of what they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import nn

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.base import Encoder

_LISTS = (
    *("encoder.layers", "encoder.layer", "encoder.stages", "model.layer", "model.stages", "transformer.layer"),
    *("encoder.blocks", "decoder.layers", "layers", "layer", "h"),
)
# What follows the last layer, and is trained with it.
_TOPS = (
    *("layer_norm", "layernorm", "norm", "ln_f", "final_norm", "final_layer_norm", "post_layernorm", "head"),
    *("norm_out", "top_conv", "top_bn"),
)
_BOTTOMS = ("embedder", "embeddings", "patch_embed")  # the first layer of a network of stages
_NEVER_USED = ("mask_token", "masked_spec_embed")  # of pretraining alone

Layers = Literal["last", "mix"] | list[int]


class BackboneEncoder(Encoder):
    """An encoder around a model of transformers, whose last hidden state, or a mix of several, is what it gives.

    Attributes:
        backbone: the model.
        mix: the weighted sum of layers, or several side by side; None: the last.
        states_skip_top: hidden states are taken before what follows the last layer.
    """

    backbone: Any
    states_skip_top = False

    def __init__(self) -> None:
        super().__init__()
        self.mix: LayerMix | LayerStack | None = None

    def layers(self) -> Sequence[nn.Module]:
        """Parts from bottom to top; the last one includes the norm that follows it."""
        name, stack = _stack(self.backbone)
        first = [module for part in _BOTTOMS if (module := getattr(self.backbone, part, None)) is not None]
        tops = self._tops()
        last = nn.ModuleList([stack[-1], *tops]) if tops else stack[-1]
        return [*(first if name.endswith(("stages", "blocks")) else ()), *stack[:-1], last]

    def choose_layers(self, layers: Layers, setting: str) -> None:
        """Give the last hidden state, a mix of all, or a mix of those of these numbers (0: before the first layer).

        Raises:
            UserError: there is no such layer, or layers are of unlike widths.
        """
        if layers == "last":
            return
        name, stack = _stack(self.backbone)
        if not self.is_mixable() or name.endswith("stages"):
            raise UserError(
                f"{setting}={layers}: this encoder's layers cannot be mixed (of unlike sizes, or not told); write last"
            )
        numbers = list(range(len(stack) + 1)) if layers == "mix" else layers
        if not numbers or not all(0 <= number <= len(stack) for number in numbers) or len({*numbers}) < len(numbers):
            raise UserError(
                f"{setting}={layers}: this encoder has layers 1 to {len(stack)} (0: before the first); write last, "
                "mix, or a list of different numbers"
            )
        self.mix = LayerMix(numbers)

    def give_layers(self, numbers: Sequence[int] | None = None) -> int:
        """Give these layers (None: all, the input of the first as well) side by side; returns how many they are.

        Where layers cannot be told apart, all of them are the last, given as before, and the answer is 1.

        Raises:
            ValueError: there is no such layer, or it cannot be told apart.
        """
        name, stack = _stack(self.backbone)
        if not self.is_mixable() or name.endswith("stages"):
            if numbers is not None:
                raise ValueError("this encoder's layers are of unlike sizes, or not told; write last or all")
            return 1
        wanted = list(range(len(stack) + 1)) if numbers is None else list(numbers)
        if not wanted or not all(0 <= n <= len(stack) for n in wanted) or len({*wanted}) < len(wanted):
            raise ValueError(f"this encoder has layers 1 to {len(stack)} (0: before the first); name each once")
        self.mix = LayerStack(wanted)
        self.output_size *= len(wanted)
        return len(wanted)

    def is_mixable(self) -> bool:
        """True if the model tells its hidden states, all of the same shape."""
        return hasattr(self.backbone, "config_class")  # of transformers' whole models, not of their inner parts

    def unused(self) -> Iterator[nn.Parameter]:
        """Parameters that no answer depends on: they are not trained."""
        for name, parameter in self.backbone.named_parameters():
            if name.rsplit(".", 1)[-1] in _NEVER_USED:
                yield parameter
        if self.mix is not None:
            _, stack = _stack(self.backbone)
            top = max(self.mix.numbers)
            above = list(stack[top:])
            for module in [*above, *(self._tops() if self.states_skip_top or above else [])]:
                yield from module.parameters()

    def hidden(self, **inputs: Any) -> torch.Tensor:
        """What the model gives of these inputs, [N, S, E]: its last hidden state, or the mix."""
        if self.mix is None:
            return self.backbone(**inputs).last_hidden_state
        return self.mix(self.backbone(**inputs, output_hidden_states=True).hidden_states)

    def _tops(self) -> list[nn.Module]:
        name, _ = _stack(self.backbone)
        holders = [self.backbone]
        for part in name.split(".")[:-1]:
            holders.append(getattr(holders[-1], part))
        found = [getattr(holder, top, None) for holder in reversed(holders) for top in _TOPS]
        return [module for module in found if isinstance(module, nn.Module) and any(True for _ in module.parameters())]


class LayerMix(nn.Module):
    """A sum of hidden states, weighted by a softmax over learned numbers, all equal at first.

    Args:
        numbers: which of a model's hidden states; 0 is the input of its first layer.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self.numbers = list(numbers)
        self.scores = nn.Parameter(torch.zeros(len(self.numbers)))

    def weights(self) -> torch.Tensor:
        """Share of each layer, f32, in the order of `numbers`."""
        return self.scores.float().softmax(0)

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Hidden states of one shape [N, ...] -> their sum, in their precision."""
        shares = self.weights().to(states[0].dtype)
        chosen = [states[number] for number in self.numbers]
        total = chosen[0] * shares[0]
        for state, share in zip(chosen[1:], shares[1:], strict=True):
            total = total + state * share
        return total


class LayerStack(nn.Module):
    """Hidden states of these numbers side by side, [..., layers * E]: what is stored of them can be mixed later."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self.numbers = list(numbers)

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat([states[number] for number in self.numbers], dim=-1)


def _stack(backbone: Any) -> tuple[str, nn.ModuleList]:
    """The list of a model's layers, and its dotted name.

    Raises:
        ValueError: it has none where one is looked for.
    """
    for name in _LISTS:
        found: Any = backbone
        for part in name.split("."):
            found = getattr(found, part, None)
        if isinstance(found, nn.ModuleList) and len(found):
            return name, found
    raise ValueError(f"the layers of {type(backbone).__name__} are not known")
