"""Trainings with one thing planted that is slow: `slow_rank.py OUT CASE ...`, one process per rank.

A case is RANK:PHASE:MILLISECONDS:STAGE, as `1:backward:25:2`; of all ranks with `all`, of none with `none:none:0:1`.
What rank 0 has concluded of each is written to OUT as JSON lines.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from dual_hpc.config import RunConfig, validate
from dual_hpc.data.run_ahead import RunAhead
from dual_hpc.training import saving
from dual_hpc.training.bottleneck import Judge
from dual_hpc.training.collective_hooks import hook_collectives
from dual_hpc.training.distributed import World, init_distributed, seed_everything
from dual_hpc.training.engine import Engine
from dual_hpc.training.optimizer import set_learning_rates
from dual_hpc.training.phase_times import REST, PhaseTimes
from dual_hpc.training.rank_times import RankTimes
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState
from dual_hpc.training.step import RankRequests, train_step
from tests.distributed.workers.sleeping_network import BACKWARD, FORWARD, LOAD, SAVE_EVERY, STEPS, SleepingNetwork

LOG_EVERY = 5


def config(stage: int, ranks: int) -> RunConfig:
    return validate(
        {
            "data": {"global_batch": 2 * ranks},
            "training": {"zero_stage": stage, "precision": "fp32"},
            "checkpoint": {"asynchronous": False},
        }
    )


def batches(seconds: float) -> Iterator[dict[str, Any]]:
    while True:
        time.sleep(seconds)
        yield {"keys": ["a", "b"], "waveform": torch.randn(2, 32), "labels": torch.randn(2)}


def run_case(case: str, world: World, folder: Path) -> dict[str, Any]:
    who, phase, milliseconds, stage = case.split(":")
    mine = int(milliseconds) / 1000 if who in ("all", str(world.rank)) else 0.0
    slow = {phase: mine}
    settings = config(int(stage), world.size)
    seed_everything((1,))
    network = SleepingNetwork(FORWARD + slow.get("forward", 0.0), BACKWARD + slow.get("backward", 0.0))
    engine = Engine(network, settings, world.size, 1)
    engine.family = SimpleNamespace(inputs=("waveform",), losses=("loss",))  # type: ignore[assignment]
    set_learning_rates(engine.deepspeed.optimizer, engine.peak_lrs, 1.0)
    saver = Saver(folder, settings, engine, world)
    write = saving.write_file

    def slow_disk(content: Any, path: Path) -> Any:
        time.sleep(slow.get("disk", 0.0) * SAVE_EVERY)
        return write(content, path)

    saving.write_file = slow_disk
    source = RunAhead(batches(LOAD + slow.get("loader", 0.0)), 2)
    times = PhaseTimes.on(world.device)
    hook_collectives(times)
    ranks = RankTimes(times, world.rank, world.size, lambda: saver.writing_seconds)
    judge = Judge([f"n{rank}" for rank in range(world.size)], "raise data.workers")
    found = None
    for step in range(1, STEPS + 1):
        times.end(REST)
        logs = step % LOG_EVERY == 0
        report = train_step(engine, [next(source)], world, RankRequests, times, ranks if logs else None)
        if logs:
            found = judge.after_interval(LOG_EVERY, report.rank_seconds)
        if phase == "disk" and step % SAVE_EVERY == 0:
            times.end(REST)
            saver.start(TrainingState(step=step))
            saver.wait()
            times.end("save_stall")
    source.close()
    saving.write_file = write
    answer = {"case": case, "ranks": world.size, "rank": None, "phase": None, "sentence": ""}
    return answer if found is None else {**answer, "rank": found.rank, "phase": found.phase, "sentence": found.sentence}


if __name__ == "__main__":
    with init_distributed(5) as group:
        for one in sys.argv[2:]:
            with tempfile.TemporaryDirectory() as temporary:
                shared = Path(group.broadcast(temporary))
                concluded = run_case(one, group, shared)
                group.all_gather(None)
            if group.rank == 0:
                with open(sys.argv[1], "a") as lines:
                    lines.write(json.dumps(concluded) + "\n")
