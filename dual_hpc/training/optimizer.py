"""AdamW, its parameter groups, and a step that can be held back on all ranks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from dual_hpc.config.schema import OptimConfig

ENCODERS = ("audio_encoder", "video_encoder", "text_encoder")  # names in the model that learn at their own rate


class GuardedAdamW(torch.optim.AdamW):
    """AdamW that skips its next step when told to.

    A step is given up after the backward pass, when DeepSpeed already holds the reduced gradients in a form that
    differs by stage and precision. Holding back the innermost step leaves all its bookkeeping to DeepSpeed.

    Attributes:
        hold: skip steps while True.
        before_step: called first; used where DeepSpeed itself neither clips nor reports a gradient norm.
    """

    hold = False
    before_step: Callable[[], None] | None = None

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update, unless held back."""
        if self.before_step is not None:
            self.before_step()
        return None if self.hold else super().step(closure)


def parameter_groups(named: Iterable[tuple[str, nn.Parameter]], optim: OptimConfig) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and decay: encoders or not, matrices or not (biases and norms don't decay).

    Empty groups are left out, so that every group survives DeepSpeed's flattening.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            groups.setdefault((name.split(".")[0] in ENCODERS, parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": optim.lr * (optim.encoder_lr_scale if encoder else 1.0),
            "weight_decay": optim.weight_decay if decays else 0.0,
        }
        for (encoder, decays), parameters in sorted(groups.items())
    ]


def set_learning_rates(optimizer: Any, peaks: Sequence[float], factor: float) -> float:
    """Write `peak * factor` into every group; returns the largest.

    The peaks are kept here and not in the groups, because a world-size conversion does not preserve those.
    """
    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
        group["lr"] = peak * factor
    return max(peaks) * factor
