"""`make chaos N=...`: kill a training again and again, and compare its end with that of one that was left alone.

Two ranks train the smallest DUAL on synthetic clips, with dropout and augmentation on. Each job loses one rank to
`kill -9`: at any moment, before a step, or at a point of the commit protocol. When a run is finished and kills are
left, the next begins under the next ZeRO stage; every fourth run saves synchronously. Jobs are forked from a process
that has imported torch and DeepSpeed, another one for every run: most kills hit the training, not its imports.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import record
from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from launch.job.ports import LOOPBACK, free_port
from tests.distributed.fork_server import ForkServer
from tests.distributed.history import final_state, samples

RANK = Path(__file__).parents[1] / "tests" / "distributed" / "workers" / "train.py"
RANKS, STEPS, STAGES = 2, 9, (1, 2, 3)
POINTS = ("made", "written", "manifest", "renamed")
SETTINGS = (
    *("data.protocol=all", "data.image_size=32", "data.max_seconds=1", "data.global_batch=4", "data.micro_batch=2"),
    *("data.workers=1", "model.hidden_size=16", "model.num_heads=2", "model.dropout=0.1", "training.log_every=1"),
    *(f"training.max_steps={STEPS}", "training.validate_every=3", "checkpoint.every_steps=2", "tracking.enabled=false"),
)


@dataclass
class Tally:
    """What is reported.

    Attributes:
        where, stages: kills by place, and by ZeRO stage.
        steps: executed, repeated ones included.
        samples_lost, samples_repeated: of the finished runs' histories, against those of the undisturbed ones.
        bit_equal: all finished runs equal the undisturbed ones in everything that `final_state` returns.
    """

    kills: int = 0
    where: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    steps: int = 0
    steps_repeated: int = 0
    samples_lost: int = 0
    samples_repeated: int = 0
    bit_equal: bool = True

    def add(self, run: RunDir, undisturbed: RunDir) -> None:
        """Compare a finished run with the one that nothing happened to."""
        executed, history = samples(run)
        _, expected = samples(undisturbed)
        self.runs += 1
        self.steps += executed
        self.steps_repeated += executed - len(history)
        got, wanted = (Counter(key for keys in steps.values() for key in keys) for steps in (history, expected))
        self.samples_lost += sum((wanted - got).values())
        self.samples_repeated += sum((got - wanted).values())
        self.bit_equal &= history == expected and final_state(run) == final_state(undisturbed)


def job(
    fork_server: ForkServer, run: RunDir, victim: int | None = None, point: str = "", after: float = float("inf")
) -> bool:
    """One job; True if it came to its end. The victim dies at `point`, or `after` so many seconds."""
    where = {"WORLD_SIZE": str(RANKS), "MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(free_port())}
    began, processes = time.monotonic(), []
    for rank in range(RANKS):
        me = {"RANK": str(rank), "LOCAL_RANK": str(rank), "DIES": str(victim), "SAMPLES": str(run.path)}
        arguments = [run.path, *([point] if point else [])]
        processes.append(fork_server.start(RANK, arguments, where | me, run.logs / f"rank-{rank}.log"))
    while any(process.poll() is None for process in processes):
        if victim is not None and time.monotonic() - began > after:
            processes[victim].kill()
        if any(process.poll() not in (None, 0) for process in processes):  # a launcher ends the others
            for process in processes:
                process.kill()
        time.sleep(0.01)
    codes = [process.wait() for process in processes]
    expected_death = victim is not None and codes[victim] == -9
    if any(codes) and not expected_death:
        raise SystemExit(f"a job failed by itself ({codes}); see {run.logs}")
    return not any(codes)


def chaos(kills: int, folder: Path, shards: Path, chance: random.Random) -> Tally:
    """Kill so often; every run is led to its end."""
    tally, undisturbed = Tally(), {}
    fork_server = ForkServer()
    for stage in STAGES:
        began = time.monotonic()
        undisturbed[stage] = new_run(folder, f"whole-{stage}", shards, stage)
        job(fork_server, undisturbed[stage])
        seconds = time.monotonic() - began
    while tally.kills < kills:
        fork_server.close()
        fork_server = ForkServer()
        stage = STAGES[tally.runs % len(STAGES)]
        asynchronous = tally.runs % 4 != 3
        run = new_run(folder, f"killed-{tally.runs}", shards, stage, asynchronous)
        while True:
            if tally.kills >= kills:
                job(fork_server, run)
                break
            where, victim, strike = draw(chance, seconds)
            if job(fork_server, run, victim, **strike):
                break
            tally.kills += 1
            tally.where[where] += 1
            tally.stages[str(stage)] += 1
            print(f"kill {tally.kills}/{kills}: rank {victim}, ZeRO {stage}, {where}", file=sys.stderr, flush=True)
        tally.add(run, undisturbed[stage])
        same = "as" if tally.bit_equal else "NOT as"
        print(f"run {tally.runs} has ended {same} the undisturbed one", file=sys.stderr, flush=True)
    fork_server.close()
    return tally


def draw(chance: random.Random, seconds: float) -> tuple[str, int, dict[str, Any]]:
    """Where the next job is killed (as text), which rank, and the arguments of `job` for it."""
    kind, victim = chance.choice(("moment", "step", "save")), chance.randrange(RANKS)
    if kind == "moment":
        return "at any moment", victim, {"after": chance.uniform(0, seconds)}
    if kind == "step":
        return "before a step", victim, {"point": f"step:{chance.randint(1, STEPS // 2)}"}
    point = chance.choice(POINTS)
    victim = victim if point in POINTS[:2] else 0  # only rank 0 passes the others
    return f"in a save: {point}", victim, {"point": f"{point}:{chance.randint(1, 2)}"}


def new_run(folder: Path, name: str, shards: Path, stage: int, asynchronous: bool = True) -> RunDir:
    """A run directory; neither the name nor who writes checkpoints is part of what decides the result."""
    settings = [f"data.shards=[{shards}]", f"store={folder}", f"training.zero_stage={stage}", *SETTINGS]
    settings.append(f"checkpoint.asynchronous={str(asynchronous).lower()}")
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


def report(tally: Tally, seconds: float) -> Path:
    """Write `results/chaos.json` and a table next to it."""
    facts = {
        "name": "chaos",
        "machine": record.machine(),
        "command": " ".join(["python", "-m", "benchmarks.chaos", *sys.argv[1:]]),
        "commit": record.commit(),
        "seconds": round(seconds),
        **{
            name: dict(sorted(value.items())) if isinstance(value, Counter) else value
            for name, value in vars(tally).items()
        },
    }
    path = record.RESULTS / "chaos.json"
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(facts), encoding="utf-8")
    return path


def markdown(facts: dict[str, Any]) -> str:
    """The same as a table for people."""
    lines = [
        "# Chaos",
        "",
        f"{facts['machine']}; `{facts['command']}`; commit {facts['commit']}; {facts['seconds']} s.",
        "",
        f"Two ranks, {facts['runs']} runs of {STEPS} steps, each killed until it came to its end, then compared with "
        "one left alone: hashes of its last checkpoint's files, position, exported weights, all logged values.",
        "",
        "| | |",
        "|---|---:|",
        f"| kills | {facts['kills']} |",
        *(f"| … under ZeRO {stage} | {count} |" for stage, count in sorted(facts["stages"].items())),
        *(f"| … {where} | {count} |" for where, count in sorted(facts["where"].items())),
        f"| steps executed | {facts['steps']} |",
        f"| of them repeated | {facts['steps_repeated']} |",
        f"| samples lost | {facts['samples_lost']} |",
        f"| samples repeated in the final history | {facts['samples_repeated']} |",
        f"| bit-equal | {'yes' if facts['bit_equal'] else 'NO'} |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the kills (default %(default)s)")
    args = parser.parse_args()
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="chaos-"))
    tally = chaos(args.kills, folder, make_shards(folder), random.Random(args.seed))
    print(report(tally, time.monotonic() - began).with_suffix(".md").read_text())
    if tally.samples_lost or tally.samples_repeated or not tally.bit_equal:
        raise SystemExit(f"the runs differ; they are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
