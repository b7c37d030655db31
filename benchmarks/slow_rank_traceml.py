"""A training with a planted slowdown: `traceml run slow_rank_traceml.py ... --args CASE`; see `ask_traceml.py`.

The network and the slow rank of `slow_rank.py`, under DistributedDataParallel; the DataLoader has a worker of its own.
A checkpoint is written by every rank and waited for by all.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch
import torch.distributed as dist
import traceml_ai
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from tests.distributed.workers.sleeping_network import BACKWARD, FORWARD, LOAD, SAVE_EVERY, STEPS, SleepingNetwork


class Batches(Dataset[dict[str, torch.Tensor]]):
    """Each takes some time to load."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(self.seconds)
        return {"waveform": torch.randn(2, 32), "labels": torch.randn(2)}


def main(case: str) -> None:
    who, phase, milliseconds, _ = case.split(":")
    traceml_ai.init(mode="auto")
    dist.init_process_group("gloo")
    slow: dict[str, float] = {phase: int(milliseconds) / 1000} if who == str(dist.get_rank()) else {}
    network = SleepingNetwork(FORWARD + slow.get("forward", 0.0), BACKWARD + slow.get("backward", 0.0))
    model: Any = DistributedDataParallel(network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loader = DataLoader(Batches(LOAD + slow.get("loader", 0.0)), batch_size=None, num_workers=1, prefetch_factor=2)
    for step, batch in enumerate(loader, 1):
        with traceml_ai.trace_step(model):
            optimizer.zero_grad(set_to_none=True)
            model(**batch).loss.backward()
            optimizer.step()
        if phase == "disk" and step % SAVE_EVERY == 0:
            time.sleep(slow.get("disk", 0.0) * SAVE_EVERY)
            dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
