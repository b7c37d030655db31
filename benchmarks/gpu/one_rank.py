"""A training of one rank in a process of its own, as a launcher starts it; part 3 and part 4 start several.

python -m benchmarks.gpu.one_rank RUN [--stop-at STEP] [--profile FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.facts import ON_GPU

LIMIT = 90 * int(os.environ.get("LIMITS") or 1)  # seconds of one training


def create(run: Path, shards: str, words: Sequence[str] = ()) -> None:
    """A run directory of the demo's model, in the precision of the device."""
    from dual_hpc.config import load_config
    from dual_hpc.run.directory import RunDir

    steps = int(os.environ.get("STEPS") or (20 if ON_GPU else 6))
    settings = [
        f"data.shards=[{shards}]",
        f"data.workers={os.environ.get('WORKERS') or (6 if ON_GPU else 1)}",
        "data.image_size=64",
        f"training.precision={'bf16' if ON_GPU else 'fp32'}",
        f"training.max_steps={steps}",
        "training.log_every=1",
        f"checkpoint.every_steps={max(steps // 4, 1)}",
        "tracking.enabled=false",
        *words,
    ]
    RunDir.create(run, load_config("demo", overrides=settings))


def train(run: Path, *words: str) -> float:
    """Train a run to its end or to `--stop-at`; its seconds, start of the process included.

    Raises:
        RuntimeError: it failed, with the last lines of its log.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    names = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "NCCL_DEBUG": "WARN", "MASTER_PORT": str(port)}
    began = time.monotonic()
    with open(f"{run}.log", "a+", encoding="utf-8") as log:
        command = [sys.executable, "-m", "benchmarks.gpu.one_rank", str(run), *words]
        try:
            environ = {**os.environ, **group, **names}
            done = subprocess.run(command, env=environ, stdout=log, stderr=log, timeout=LIMIT)
            ended = f"exit code {done.returncode}" if done.returncode != 0 else ""
        except subprocess.TimeoutExpired:
            ended = f"ended after {LIMIT} s"
        if ended:
            log.seek(0)
            raise RuntimeError(f"{ended}: {log.read()[-1500:]}")
    return time.monotonic() - began


def metrics(run: Path) -> list[dict[str, Any]]:
    """The values of each logged step, by name."""
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [values for line in found if "train/samples_per_second" in (values := line.get("metrics") or {})]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.one_rank", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--stop-at", type=int, help="ask to stop before this step, as Slurm does")
    parser.add_argument("--profile", type=Path, help="write how busy the device was, and its longest kernels")
    options = parser.parse_args()
    from dual_hpc.training.environment import prepare_environment

    prepare_environment()
    from dual_hpc.training import loop, session

    if options.stop_at is not None:
        seed = session.seed_everything  # called once before every step, with its number

        def seeding(parts: Sequence[int]) -> None:
            if parts[1] == options.stop_at:
                os.kill(os.getpid(), signal.SIGUSR2)
            seed(parts)

        session.seed_everything = seeding
    if options.profile is None:
        print(loop.train(options.run))
        return
    from torch.profiler import profile

    from benchmarks.gpu.busy import summary

    with profile() as profiler:
        print(loop.train(options.run))
    options.profile.write_text(json.dumps(summary(profiler.events())), encoding="utf-8")


if __name__ == "__main__":
    main()
