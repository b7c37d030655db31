"""The losses of a step under ZeRO 1, 2 and 3, on ranks that try one kind after the other, and by plain PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.encoders.subject import RANKS, batch_of, config_of, folder_of, model_of
from dual_hpc.errors import one_line
from dual_hpc.files.atomic import write_atomically
from dual_hpc.training.distributed import World, init_distributed
from dual_hpc.training.engine import Engine
from dual_hpc.training.optimizer import parameter_groups
from launch.job.ports import LOOPBACK, free_port

STAGES = (1, 2, 3)


def losses_of_ranks(work: Path, kinds: list[tuple[str, str]]) -> None:
    """Of each kind and stage the losses before and after a step, of a batch that the ranks share."""
    results: dict[str, Any] = {}
    with init_distributed(4) as world:
        for modality, kind in kinds:
            for stage in STAGES:
                try:
                    found: Any = _under_zero(work, modality, kind, stage, world)
                except Exception as error:  # the others are still to be seen
                    found = one_line(f"{type(error).__name__}: {error}", 200)
                results[f"{modality} {kind} {stage}"] = found
                if world.rank == 0:
                    write_atomically(work / "ranks.json", json.dumps(results))


def _under_zero(work: Path, modality: str, kind: str, stage: int, world: World) -> list[float]:
    config = config_of(modality, kind, str(folder_of(work, modality, kind)), stage)
    engine = Engine(model_of(config).train(), config, world.size, 1)
    mine = {name: values[2 * world.rank : 2 * world.rank + 2] for name, values in batch_of(modality).items()}
    losses = []
    for _ in range(2):
        loss = engine.deepspeed(**mine).loss
        engine.backward(loss)
        engine.finish_step(apply=True)
        losses.append(sum(world.all_gather(float(loss.detach()))) / world.size)
    return losses


def plain_losses(work: Path, modality: str, kind: str) -> list[float]:
    """The same by PyTorch alone, the whole batch at once."""
    config = config_of(modality, kind, str(folder_of(work, modality, kind)))
    model, optim, batch = model_of(config).train(), config.optim, batch_of(modality)
    groups = parameter_groups(model.named_parameters(), optim, [f"{modality}_encoder"])
    optimizer = torch.optim.AdamW(groups, betas=optim.betas, eps=optim.eps)
    losses = []
    for _ in range(2):
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), optim.clip_norm)
        losses.append(float(loss.detach()))
        optimizer.step()
        optimizer.zero_grad()
    return losses


def start_ranks(work: Path, kinds: list[tuple[str, str]]) -> list[subprocess.Popen[bytes]]:
    where = {
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(RANKS),
        "DS_ACCELERATOR": "cpu",
    }
    words = [
        sys.executable,
        "-m",
        "benchmarks.encoders",
        "--rank",
        str(work),
        "--kinds",
        *(f"{m}:{k}" for m, k in kinds),
    ]
    started = []
    for rank in range(RANKS):
        with (work / f"rank{rank}.log").open("wb") as log:
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"}
            started.append(subprocess.Popen(words, env={**os.environ, **where, **own}, stdout=log, stderr=log))
    return started


def agreement(losses: list[float], plain: list[float]) -> str:
    """The largest relative difference, if the step changed anything."""
    worst = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(losses, plain, strict=True))
    return f"{worst:.0e}" if plain[0] != plain[1] else "learns nothing"
