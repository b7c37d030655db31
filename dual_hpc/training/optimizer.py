"""AdamW, its parameter groups, and a step that can be skipped on all ranks at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from dual_hpc.config.schema import OptimConfig


class GuardedAdamW(torch.optim.AdamW):
    """AdamW that skips steps on request.

    Whether a step is skipped is decided after the backward pass, when DeepSpeed already has the reduced gradients in a
    form that differs by stage and precision. Skipping the innermost step leaves all its bookkeeping to DeepSpeed.

    Attributes:
        skip: skip steps while True.
        before_step: called first; used where DeepSpeed itself neither clips nor reports a gradient norm.
    """

    skip = False
    before_step: Callable[[], None] | None = None

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update, unless it is skipped."""
        if self.before_step is not None:
            self.before_step()
        return None if self.skip else super().step(closure)


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]], optim: OptimConfig, encoders: Collection[str]
) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and decay: encoders or not, matrices or not (biases and norms don't decay).

    Empty groups are left out, because DeepSpeed cannot flatten them.

    Args:
        encoders: parts of the model that learn at their own rate; see `ModelFamily.encoders`.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            groups.setdefault((name.split(".")[0] in encoders, parameter.ndim >= 2), []).append(parameter)
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

    The peaks are not kept in the groups, because a checkpoint for another number of ranks does not preserve them.
    """
    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
        group["lr"] = peak * factor
    return max(peaks) * factor
