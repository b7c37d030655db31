"""One optimiser step: micro-batches, one agreement of all ranks, one update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dual_hpc.model.inputs import INPUTS
from dual_hpc.training.distributed import World
from dual_hpc.training.engine import Engine

LOSSES = ("loss", "loss_cls", "loss_static", "loss_dynamic")


@dataclass(frozen=True)
class Wishes:
    """What this rank asks the others for; one rank's wish is everyone's."""

    stop: bool = False
    save: bool = False
    bad_samples: int = 0  # undecodable ones that this rank knows of


@dataclass(frozen=True)
class StepReport:
    """What all ranks know after a step.

    Attributes:
        losses: mean over the global batch, by name.
        applied: False if the update was given up (non-finite loss or gradient, fp16 overflow).
        healthy: False if a loss or, outside fp16, a gradient was not finite.
        bad_samples: the sum of what the ranks know; `Session.agree_on_bad_samples` makes a list of it.
        suspects: of an unhealthy step, keys of the micro-batches with a non-finite loss over all ranks; all keys of
            the step if every loss is finite, but the gradient is not.
    """

    losses: dict[str, float]
    grad_norm: float
    applied: bool
    healthy: bool
    stop: bool
    save: bool
    bad_samples: int
    suspects: list[str]


def inputs(batch: Mapping[str, Any], device: torch.device) -> dict[str, torch.Tensor]:
    """The model's arguments on this rank's device."""
    return {name: batch[name].to(device, non_blocking=True) for name in (*INPUTS, "labels") if name in batch}


def train_step(engine: Engine, batches: Sequence[Mapping[str, Any]], world: World, wishes: Wishes) -> StepReport:
    """Forward, backward, agree, update.

    The reduction that averages the losses also carries the health of every rank and the wishes to stop and to save, so
    agreeing costs no further message. It comes after the last backward pass and before the update.
    """
    assert len(batches) == engine.accumulation, "the loader and DeepSpeed disagree about the micro-batches of a step"
    losses = torch.zeros(len(batches), len(LOSSES), dtype=torch.float64, device=world.device)
    for number, batch in enumerate(batches):
        output = engine.deepspeed(**inputs(batch, world.device))
        engine.deepspeed.backward(output.loss)
        losses[number] = torch.stack([_value(output, name, world.device) for name in LOSSES])
        if number + 1 < len(batches):
            engine.deepspeed.step()
    sick = ~torch.isfinite(losses).all(dim=1)
    flags = torch.tensor([wishes.stop, wishes.save, wishes.bad_samples], dtype=torch.float64, device=world.device)
    agreed = world.sum(torch.cat([losses.mean(dim=0), sick.sum()[None].double(), flags])).tolist()
    means, (sick_batches, stop, save, bad_samples) = agreed[: len(LOSSES)], agreed[len(LOSSES) :]

    applied = engine.finish_step(healthy=not sick_batches)
    grad_norm = engine.grad_norm()
    overflow_is_normal = engine.deepspeed.fp16_enabled()
    healthy = not sick_batches and (overflow_is_normal or math.isfinite(grad_norm))
    suspects: list[str] = []
    if not healthy:
        suspected = zip(batches, sick.tolist(), strict=True)
        mine = [key for batch, bad in suspected if bad or not sick_batches for key in batch["keys"]]
        suspects = [key for keys in world.gather(mine) for key in keys]
    return StepReport(
        losses={name: value / world.size for name, value in zip(LOSSES, means, strict=True)},
        grad_norm=grad_norm,
        applied=applied,
        healthy=healthy,
        stop=stop > 0,
        save=save > 0,
        bad_samples=int(bad_samples),
        suspects=suspects,
    )


def _value(output: Any, name: str, device: torch.device) -> torch.Tensor:
    value = getattr(output, name, None)
    if value is None:
        return torch.zeros((), dtype=torch.float64, device=device)
    return value.detach().double()
