"""One optimizer step: micro-batches, one reduction in which all ranks agree, one update."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from dual_hpc.data.batch import SOFT_LABELS
from dual_hpc.heartbeat import beat
from dual_hpc.training.distributed import World
from dual_hpc.training.engine import Engine
from dual_hpc.training.model_flops import ModelFlops
from dual_hpc.training.phase_times import PhaseTimes
from dual_hpc.training.rank_times import RankSeconds, RankTimes, table_of


@dataclass(frozen=True)
class RankRequests:
    """What this rank asks all ranks for; it is done if one rank asks.

    Attributes:
        bad_samples: number of samples that cannot be decoded, as known to this rank.
    """

    stop: bool = False
    save: bool = False
    bad_samples: int = 0


@dataclass(frozen=True)
class StepReport:
    """What all ranks know after a step.

    Attributes:
        losses: mean over the global batch, by the names of the model family.
        applied: False if the update was skipped (non-finite loss or gradient, fp16 overflow).
        finite: False if a loss or a gradient was not finite; in fp16 a gradient at the smallest loss scale.
        stop, save: a rank asked for it.
        bad_samples: sum over the ranks of how many samples each knows that cannot be decoded.
        suspect_keys: of a non-finite step, the keys of the micro-batches with a non-finite loss over all ranks; all
            keys of the step if every loss is finite, but the gradient is not.
        correct, answered: of the global batch's labelled samples, as they were augmented: right answers, and answers.
        rank_seconds: of every rank since it was asked for last; empty where it was not.
    """

    losses: dict[str, float]
    grad_norm: float
    applied: bool
    finite: bool
    stop: bool
    save: bool
    bad_samples: int
    suspect_keys: list[str]
    correct: float = 0.0
    answered: float = 0.0
    rank_seconds: list[RankSeconds] = field(default_factory=list)


def inputs(batch: Mapping[str, Any], names: Sequence[str], device: torch.device) -> dict[str, torch.Tensor]:
    """The model's arguments, the labels among them, on this rank's device."""
    found = {name: batch[name].to(device, non_blocking=True) for name in (*names, "labels") if name in batch}
    if SOFT_LABELS in batch:  # distribution of the votes, or class and dimensions, in place of the class number
        found["labels"] = batch[SOFT_LABELS].to(device, non_blocking=True)
    return found


def train_step(
    engine: Engine,
    batches: Iterable[Mapping[str, Any]],
    world: World,
    ask: Callable[[], RankRequests],
    times: PhaseTimes,
    ranks: RankTimes | None = None,
    flops: ModelFlops | None = None,
) -> StepReport:
    """Forward, backward, agree, update. Collective.

    The reduction that averages the losses also carries whether every rank's loss is finite, and the ranks' requests, so
    agreeing costs no further message. It comes after the last backward pass and before the update.

    Args:
        batches: this rank's micro-batches, as many as the engine accumulates; each is taken when the one before is
            done, and dropped afterwards.
        ask: what this rank asks for; called once, after the last backward pass.
        ranks: to exchange what the ranks' time went into; on all of them or on none.
        flops: counts what the model computes.
    """
    flops = flops or ModelFlops(None)
    family, count = engine.family, engine.accumulation
    losses = torch.zeros(count, len(family.losses), dtype=torch.float64, device=world.device)
    hits = torch.zeros(2, dtype=torch.float64, device=world.device)
    keys: list[list[str]] = []
    for number, batch in enumerate(batches):
        times.end("data_wait")
        keys.append(batch["keys"])
        with flops.counted(len(batch["keys"])):
            times.begin("forward")
            output = engine.deepspeed(**inputs(batch, family.inputs, world.device))
            times.end("forward")
            times.begin("backward")
            engine.backward(output.loss)
        losses[number] = torch.stack([_value(output, name, world.device) for name in family.losses])
        hits += _hits(getattr(output, "logits", None), batch.get("labels"), world.device)
        if number + 1 < count:
            engine.deepspeed.step()
        times.end("backward")
        beat()  # in the first steps, which compile
        del batch, output
    assert len(keys) == count, "the loader and DeepSpeed disagree about the micro-batches of a step"
    non_finite = ~torch.isfinite(losses).all(dim=1)
    requests = ask()
    flags = torch.tensor([requests.stop, requests.save, requests.bad_samples], dtype=torch.float64, device=world.device)
    rows = ranks.row(world.device) if ranks is not None else flags.new_empty(0)
    parts = torch.cat([losses.mean(dim=0), non_finite.sum()[None].double(), flags, hits, rows])
    agreed = world.all_reduce_sum(parts).tolist()
    means, agreed = agreed[: len(family.losses)], agreed[len(family.losses) :]
    (non_finite_batches, stop, save, bad_samples, correct, answered), seconds = agreed[:6], agreed[6:]
    times.end("rank_wait")

    times.begin("optimizer")
    applied = engine.finish_step(apply=not non_finite_batches)
    grad_norm = engine.grad_norm()
    times.end("optimizer")
    finite = not non_finite_batches and engine.gradient_is_finite()
    suspect_keys: list[str] = []
    if not finite:
        candidates = zip(keys, non_finite.tolist(), strict=True)
        mine = [key for some, bad in candidates if bad or not non_finite_batches for key in some]
        suspect_keys = [key for some in world.all_gather(mine) for key in some]
    return StepReport(
        losses={name: value / world.size for name, value in zip(family.losses, means, strict=True)},
        grad_norm=grad_norm,
        applied=applied,
        finite=finite,
        stop=stop > 0,
        save=save > 0,
        bad_samples=int(bad_samples),
        suspect_keys=suspect_keys,
        correct=correct,
        answered=answered,
        rank_seconds=table_of(seconds),
    )


def _hits(logits: torch.Tensor | None, labels: torch.Tensor | None, device: torch.device) -> torch.Tensor:
    """[right answers, labelled samples], f64, without waiting for the device; zeros where there are no answers, or no
    labels, to count.
    """
    if logits is None or labels is None:
        return torch.zeros(2, dtype=torch.float64, device=device)
    labels = labels.to(device)
    labelled = labels >= 0
    right = (logits.detach().argmax(dim=-1) == labels) & labelled
    return torch.stack([right.sum(), labelled.sum()]).double()


def _value(output: Any, name: str, device: torch.device) -> torch.Tensor:
    value = getattr(output, name, None)
    if value is None:
        return torch.zeros((), dtype=torch.float64, device=device)
    return value.detach().double()
