"""The gradient of a step that is cut into micro-batches, beside its exact value: `gradients.py ROOT`, per rank.

Also what fp16 does where every gradient overflows. A CPU without fp16 is told to try.
"""

from __future__ import annotations

import copy
import json
import math
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from dual_hpc.config import validate
from dual_hpc.training import deepspeed_config
from dual_hpc.training import step as steps
from dual_hpc.training.distributed import World, init_distributed
from dual_hpc.training.engine import Engine
from dual_hpc.training.optimizer import parameter_groups
from dual_hpc.training.phase_times import PhaseTimes

SAMPLES = 256


class Exact(nn.Linear):
    """Computes in float32 or better, so that only its gradients are rounded: one per weight and micro-batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dtype = torch.float64 if self.weight.dtype == torch.float64 else torch.float32
        return F.linear(x.to(dtype), self.weight.to(dtype), self.bias.to(dtype))


class Network(nn.Module):
    """Three of them, and one that the loss does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder, self.middle, self.out = Exact(32, 64), Exact(64, 64), Exact(64, 1)
        self.unused = Exact(3, 3)

    def forward(self, waveform: torch.Tensor, labels: torch.Tensor) -> SimpleNamespace:
        found = self.out(torch.tanh(self.middle(torch.tanh(self.audio_encoder(waveform)))))
        return SimpleNamespace(loss=(found.squeeze(-1) - labels).square().mean())


def engine_for(model: nn.Module, world: World, stage: int, micro_batches: int, **training: object) -> Engine:
    settings = {"zero_stage": stage, **training}
    config = validate({"data": {"global_batch": SAMPLES}, "training": settings, "optim": {"clip_norm": 1e4}})
    return Engine(model, config, world.size, micro_batches)


def relative_error(world: World, stage: int, precision: str, sums: str, micro_batches: int) -> float:
    """|gradient - exact gradient| / |exact gradient|, or that of the norm which the engine tells if it is larger."""
    torch.manual_seed(0)
    half = torch.bfloat16 if precision == "bf16" else torch.float16
    model = Network().to(half)
    x = torch.randn(SAMPLES, 32).to(half)
    labels = (x.float().sum(-1) / 8).to(half)
    exact = copy.deepcopy(model).double()
    exact(x, labels).loss.backward()
    engine = engine_for(model, world, stage, micro_batches, precision=precision, gradient_dtype=sums)
    groups = parameter_groups(exact.named_parameters(), validate({}).optim, engine.family.encoders)
    gradients: list[torch.Tensor] = []
    engine.optimizer.before_step = lambda: gradients.extend(
        p.grad.clone().flatten() for group in engine.optimizer.param_groups for p in group["params"]
    )
    size = SAMPLES // micro_batches // world.size
    for number in range(micro_batches):
        rows = slice(size * (number * world.size + world.rank), size * (number * world.size + world.rank + 1))
        engine.backward(engine.deepspeed(x[rows], labels[rows]).loss)
        if number + 1 < micro_batches:
            engine.deepspeed.step()
    engine.finish_step(apply=True)
    parts = [[gradient_of(p) for p in group["params"]] for group in groups]
    if stage in (1, 2):
        parts = [[rank_part(torch.cat(part), 2, world)] for part in parts]
    elif stage == 3:
        parts = [[rank_part(gradient, 1, world) for gradient in part] for part in parts]
    wanted = torch.cat([torch.cat(part) for part in parts])
    if stage == 0:
        found = torch.cat(gradients)
    else:
        found = torch.cat([g[: sum(map(len, part))] for g, part in zip(gradients, parts, strict=True)])
    norm_error = abs(engine.grad_norm() / total_norm(exact) - 1)
    squares = world.all_gather([float((found.double() - wanted).square().sum()), float(wanted.square().sum())])
    return max(math.sqrt(sum(error for error, _ in squares) / sum(size for _, size in squares)), norm_error)


def gradient_of(parameter: torch.Tensor) -> torch.Tensor:
    found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return found.flatten()


def rank_part(flat: torch.Tensor, alignment: int, world: World) -> torch.Tensor:
    """This rank's partition, padded with zeros at the end."""
    return F.pad(flat, (0, -flat.numel() % (alignment * world.size))).chunk(world.size)[world.rank]


def total_norm(model: nn.Module) -> float:
    return float(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm())


class Steep(nn.Module):
    """A loss that is finite, with a gradient that no scale makes finite in fp16."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1)

    def forward(self, waveform: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(loss=(self.out(waveform.to(self.out.weight.dtype)).float() * 1e8).mean())


def overflowing(world: World, stage: int) -> dict[str, object]:
    """Steps until one is called not finite."""
    torch.manual_seed(0)
    engine = engine_for(Steep(), world, stage, 1, precision="fp16")
    before = [p.detach().clone() for p in engine.deepspeed.module.parameters()]
    batch = {"waveform": torch.ones(SAMPLES // world.size, 4), "keys": [f"key{world.rank}"]}
    reports: list[steps.StepReport] = []
    while len(reports) < 40 and (not reports or reports[-1].finite):
        reports.append(steps.train_step(engine, [batch], world, steps.RankRequests, PhaseTimes.on(world.device)))
    same = all(torch.equal(a, b) for a, b in zip(before, engine.deepspeed.module.parameters(), strict=True))
    return {"step": len(reports), "applied": reports[-1].applied, "keys": reports[-1].suspect_keys, "kept": same}


def main(root: Path) -> None:
    with init_distributed(2) as world:
        from deepspeed.accelerator import get_accelerator

        get_accelerator().is_fp16_supported = lambda: True
        stages = (0, 1, 2, 3)
        results: dict[str, object] = {}
        for stage, precision, sums, count in product(stages, ("bf16",), ("same", "fp32"), (8, 64)):
            results[f"{stage}:{precision}:{sums}:{count}"] = relative_error(world, stage, precision, sums, count)
        for stage in stages:
            results[f"{stage}:fp16:fp32:8"] = relative_error(world, stage, "fp16", "fp32", 8)
            results[f"{stage}:overflowing"] = overflowing(world, stage)
        deepspeed_config.bucket_elements = lambda trainable: 1000  # smaller than the largest weight
        for stage in stages:
            results[f"{stage}:small buckets"] = relative_error(world, stage, "bf16", "fp32", 8)
        if world.rank == 0:
            (root / "gradients.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
