"""`make chaos N=...`: kill a training again and again, and compare its end with that of one that was left alone.

Two ranks train the smallest DUAL on synthetic clips, with dropout and augmentation on. Each job loses one rank to
`kill -9`: at any moment, before a step, or at a point of the commit protocol. When a run is finished and kills are
left, the next begins under the next ZeRO stage. The answer, `chaos.json`: {kills, where, steps_repeated, samples_lost,
samples_repeated, bit_equal}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dual_hpc.checkpoint import choose, manifest
from dual_hpc.config import load_config
from dual_hpc.tracking.journal import read, replay
from dual_hpc.tracking.run_dir import RunDir
from launch.ports import LOOPBACK, free_port

RANK = Path(__file__).parents[1] / "tests" / "distributed" / "workers" / "train.py"
RANKS, STEPS = 2, 9
POINTS = ("made", "written", "manifest", "renamed", "latest")
SETTINGS = (
    *("data.protocol=all", "data.image_size=32", "data.max_seconds=1", "data.global_batch=4", "data.micro_batch=2"),
    *("data.workers=1", "model.hidden_size=16", "model.num_heads=2", "model.dropout=0.1", "training.log_every=1"),
    *(f"training.max_steps={STEPS}", "training.validate_every=3", "checkpoint.every_steps=2", "tracking.enabled=false"),
)


@dataclass
class Tally:
    """What `chaos.json` says."""

    kills: int = 0
    where: Counter[str] = field(default_factory=Counter)
    steps_repeated: int = 0
    samples_lost: int = 0
    samples_repeated: int = 0
    bit_equal: bool = True
    runs: int = 0

    def add(self, run: RunDir, undisturbed: RunDir) -> None:
        """Compare a finished run with the one that nothing happened to."""
        executed, history = samples(run)
        _, expected = samples(undisturbed)
        self.runs += 1
        self.steps_repeated += executed - len(history)
        got, wanted = (Counter(key for keys in steps.values() for key in keys) for steps in (history, expected))
        self.samples_lost += sum((wanted - got).values())
        self.samples_repeated += sum((got - wanted).values())
        self.bit_equal &= history == expected and final_state(run) == final_state(undisturbed)


def samples(run: RunDir) -> tuple[int, dict[int, list[str]]]:
    """How many steps were executed, and the samples of each as the last job that did it read them."""
    by_step: dict[int, dict[int, list[str]]] = {}
    count = 0
    for rank in range(RANKS):
        for line in (run.path / f"samples-{rank}.jsonl").read_text().splitlines():
            with contextlib.suppress(ValueError):  # torn by a kill: the step was not done either
                record = json.loads(line)
                by_step.setdefault(record["step"], {})[rank] = record["keys"]
                count += rank == 0
    return count, {step: sorted(sum(ranks.values(), [])) for step, ranks in sorted(by_step.items())}  # noqa: RUF017


def final_state(run: RunDir) -> dict[str, Any]:
    """The hashes of all files of the last checkpoint, its position, the exported weights, the loss sequence."""
    found = manifest.load(run.checkpoints / manifest.folder_name(choose.steps(run.checkpoints)[-1]))
    curves = replay(read(run.journal))
    return {
        "files": found.files,
        "state": found.state,
        "weights": {name: (run.exports / name / "model.safetensors").read_bytes() for name in ("best", "last")},
        "curves": {key: curve for key, curve in curves.items() if key != "train/samples_per_second"},
    }


def job(run: RunDir, victim: int | None = None, point: str = "", after: float = float("inf")) -> bool:
    """One job; True if it came to its end. The victim dies at `point`, or `after` so many seconds."""
    where = {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(free_port())}
    shared = {"WORLD_SIZE": str(RANKS), "OMP_NUM_THREADS": "1", **where}
    began, processes = time.monotonic(), []
    for rank in range(RANKS):
        environ = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "DIES": str(victim)}
        environ["SAMPLES"] = str(run.path / f"samples-{rank}.jsonl")
        command = [sys.executable, str(RANK), str(run.path), *([point] if point else [])]
        with open(run.logs / f"rank-{rank}.log", "ab") as log:
            processes.append(subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT))
    while any(process.poll() is None for process in processes):
        if victim is not None and time.monotonic() - began > after:
            processes[victim].kill()
        if any(process.poll() not in (None, 0) for process in processes):  # a launcher ends the others
            time.sleep(0.2)
            for process in processes:
                process.kill()
        time.sleep(0.02)
    codes = [process.wait() for process in processes]
    expected_death = victim is not None and codes[victim] == -9
    if any(codes) and not expected_death:
        raise SystemExit(f"a job failed by itself ({codes}); see {run.logs}")
    return not any(codes)


def chaos(kills: int, folder: Path, shards: Path, chance: random.Random) -> Tally:
    """Kill so often; every run is led to its end."""
    tally, undisturbed = Tally(), {}
    for number in range(kills):  # more runs than kills are never needed
        stage = 1 + number % 3
        if stage not in undisturbed:
            began = time.monotonic()
            undisturbed[stage] = new_run(folder, f"whole-{stage}", shards, stage)
            job(undisturbed[stage])
            seconds = time.monotonic() - began
        run = new_run(folder, f"killed-{number}", shards, stage)
        finished = False
        while not finished:
            if tally.kills >= kills:
                finished = job(run)
                continue
            kind = chance.choice(("moment", "step", "save"))
            victim = chance.randrange(RANKS)
            if kind == "moment":
                finished = job(run, victim, after=chance.uniform(0, seconds))
                where = "at any moment"
            elif kind == "step":
                finished = job(run, victim, point=f"step:{chance.randint(1, STEPS)}")
                where = "before a step"
            else:
                name = chance.choice(POINTS)
                victim = victim if name in POINTS[:2] else 0  # only rank 0 passes the others
                finished = job(run, victim, point=f"{name}:{chance.randint(1, 2)}")
                where = f"in a save: {name}"
            if not finished:
                tally.kills += 1
                tally.where[where] += 1
                print(f"kill {tally.kills}/{kills} of rank {victim}, {where}", file=sys.stderr, flush=True)
        tally.add(run, undisturbed[stage])
        if tally.kills >= kills:
            return tally
    return tally


def new_run(folder: Path, name: str, shards: Path, stage: int) -> RunDir:
    """A run directory; the name is not part of what decides the result."""
    settings = [f"data.shards=[{shards}]", f"store={folder}", f"training.zero_stage={stage}", *SETTINGS]
    return RunDir.create(folder / "runs" / name, load_config("demo", settings))


def make_shards(folder: Path) -> Path:
    """Synthetic clips, packed by the same commands a user would type."""
    from launch.cli.main import main as dual_hpc

    corpus, shards = folder / "iemocap", folder / "shards"
    for words in (
        ["synth", "iemocap", "--out", str(corpus), "--utterances", "60"],
        ["pack", "iemocap", str(corpus), "--out", str(shards), "--video-size", "48"],
    ):
        if dual_hpc(words):
            raise SystemExit(1)
    return shards


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the kills (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("chaos.json"), metavar="FILE", help="default %(default)s")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    tally = chaos(args.kills, folder, make_shards(folder), random.Random(args.seed))
    report = {**vars(tally), "where": dict(tally.where)}
    args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report))
    if tally.samples_lost or tally.samples_repeated or not tally.bit_equal:
        raise SystemExit(f"the runs differ; they are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
