"""One rank that only reads: `loader.py FOLDER OUT STEPS BAD_LIMIT [kill]`; goes on from OUT's state if there is one."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch.distributed as dist

from dual_hpc.config.schema import AugmentConfig, DataConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.loader import TrainLoader
from dual_hpc.errors import DualError


def main(folder: str, out: str, steps: str, limit: str, kill: str = "") -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    shard_set = ShardDataset([folder])
    config = DataConfig(image_size=32, global_batch=12, micro_batch=2, workers=1, bad_sample_limit=int(limit))
    numbers = range(len(shard_set))
    saved = Path(out)
    record = json.loads(saved.read_text()) if saved.exists() else {"state": None, "steps": []}
    loader = TrainLoader(
        shard_set, numbers, numbers, config, AugmentConfig(), None, 5, rank, world, state=record["state"]
    )
    batches = iter(loader)
    for step in range(int(steps)):
        rows: list[tuple[str, float, float]] = []
        for micro in next(batches):
            sums = micro["waveform"].double().abs().sum(1) + micro["frames"].double().sum((1, 2, 3, 4))
            rows += zip(micro["keys"], sums.tolist(), micro["valid"].tolist(), strict=True)
        gathered: list = [None] * world
        dist.all_gather_object(gathered, rows)
        record["steps"].append(sorted(row for share in gathered for row in share))
        dist.all_gather_object(gathered, loader.bad_samples.known())
        for known in gathered:
            loader.bad_samples.merge(known)
        if kill and rank == 1 and step == 1:
            os.kill(loader._source.pids()[0], signal.SIGKILL)  # type: ignore[attr-defined]
        if rank == 0:
            print("step", step, "bad", len(loader.bad_samples), flush=True)
        loader.bad_samples.check()
    record["state"] = loader.state_dict()
    if rank == 0:
        saved.write_text(json.dumps(record))
    loader.close()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except DualError as error:
        print(error, flush=True)
        os._exit(error.exit_code)  # as a job does: gloo's threads may not outlive an interpreter that tidies up
