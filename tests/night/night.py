"""`make slurm-night`: a night of a busy cluster in miniature, on the development cluster.

Twelve runs on four nodes, to which thirty things happen that happen to runs: `tests.night.events` lists them. Which,
and in which order, is drawn from a seed; to which run, from those that train at that moment. In the end every run has
finished, whatever was in between was explained by its right cause, and the weights are byte for byte those of a run
that nothing happened to. Exit code 1 where anything of that does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.run.directory import RunDir
from launch.runs.status import has_finished
from tests.night.events import ALONE, EVENTS, fits
from tests.night.fleet import Fleet, lives, night_place
from tests.night.verdict import violations, weights_digest
from tests.slurm.observe import slurm, step_of

AT_ONCE = 3  # events that are under way
LATE = 30.0  # seconds for which accounting, and what jobs write, may lag behind


@dataclass
class UnderWay:
    """An event, and what became of it."""

    kind: str
    run: RunDir
    began: float
    work: Iterator[None]
    step: int
    took: float | None = None
    failure: str = ""


def schedule(draw: random.Random, count: int) -> list[str]:
    """Every kind as often as the others, as far as `count` goes, in a random order."""
    kinds = list(EVENTS)
    return draw.sample([kinds[number % len(kinds)] for number in range(count)], count)


def happen(fleet: Fleet, kinds: list[str], draw: random.Random, seconds: float) -> list[UnderWay]:
    """Let it all happen; until all runs have finished, or the time is over."""
    begin, events, ended = time.monotonic(), list[UnderWay](), dict[str, float]()
    while time.monotonic() - begin < seconds:
        fleet.look()
        active = [event for event in events if event.took is None]
        for event in active:
            advance(event, begin)
            if event.took is not None:
                fleet.busy.discard(event.run.path.name)
                print(line(event), flush=True)
        if kinds and len(active) < AT_ONCE:
            start_one(fleet, kinds, draw, events, begin)
        idle = [run for run in fleet.runs if run.path.name not in fleet.busy]
        for run in idle:
            if (found := fleet.ended(run)) is None:
                ended.pop(run.path.name, None)
            elif time.monotonic() - ended.setdefault(run.path.name, time.monotonic()) > LATE:
                # Nothing was done to it: that it ended is wrong, whatever it says.
                events.append(UnderWay("none", run, time.monotonic() - begin, iter(()), step_of(run), 0.0))
                events[-1].failure = f"it is {found.state}: {found.sentence}"
                print(line(events[-1]), flush=True)
                fleet.dual("resume", run.path)
        done = all(map(has_finished, idle)) and not fleet.busy
        if done and not kinds and not fleet.has_jobs():  # a job that has finished its run still sends it to MLflow
            break
        if done and kinds:
            fleet.add(small="full disk" in kinds)
        time.sleep(1)
    return events


def start_one(fleet: Fleet, kinds: list[str], draw: random.Random, events: list[UnderWay], begin: float) -> None:
    """The next kind that suits a run which trains now."""
    free = fleet.free()
    draw.shuffle(free)
    alone = any(event.took is None and event.kind in ALONE for event in events)
    for kind in list(kinds):
        run = next((run for run in free if not (alone and kind in ALONE) and fits(kind, run)), None)
        if run is not None:
            kinds.remove(kind)
            fleet.busy.add(run.path.name)
            work = EVENTS[kind](fleet, run, draw)
            events.append(UnderWay(kind, run, time.monotonic() - begin, work, step_of(run)))
            return


def advance(event: UnderWay, begin: float) -> None:
    try:
        next(event.work)
        return
    except StopIteration:
        pass
    except Exception as error:
        event.failure = str(error) or type(error).__name__
    event.took = time.monotonic() - begin - event.began


def line(event: UnderWay) -> str:
    took = "not over" if event.took is None else f"{event.took:5.0f} s"
    said = event.failure or ("" if event.took is not None else "it was not over in time") or "ok"
    return f"{event.began:6.0f} s  {event.kind:18}  {event.run.path.name:10} at step {event.step:4}  {took}  {said}"


def references(fleet: Fleet) -> dict[int, str]:
    """The weights of undisturbed runs on one node and on two."""
    found = {nodes: fleet.submit(f"undisturbed-{nodes}", f"launch.nodes={nodes}") for nodes in (1, 2)}
    while not all(map(has_finished, found.values())):
        time.sleep(2)
    fleet.runs.clear()
    return {nodes: weights_digest(run) for nodes, run in found.items()}


def judge(fleet: Fleet, weights: dict[int, str]) -> int:
    """Print a line for each run; the number of violations."""
    stores = {run.path.parents[1] for run in fleet.runs}
    listed = "".join(fleet.dual("runs", "--json", "--store", store) for store in sorted(stores))
    rows = [json.loads(text) for text in listed.splitlines() if text.startswith("{")]
    states = {row["name"]: row["state"] for row in rows if row["kind"] == "run"}
    bad = 0
    for run in sorted(fleet.runs, key=lambda run: run.path.name):
        nodes, state = run.config().launch.nodes, states.get(run.path.name, "unknown")
        found = list(violations(run, state, fleet.steps, weights[nodes]))
        bad += len(found)
        print(f"{run.path.name:10}  {nodes} nodes  {state:10}  {lives(run):2} starts  {'; '.join(found) or 'ok'}")
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.night.night", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--events", type=int, default=30)
    parser.add_argument("--steps", type=int, default=40, help="of each run")
    parser.add_argument("--minutes", type=float, default=40, help="after which what is not over counts as a violation")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what it has started is cancelled then as well
    begin, draw = time.monotonic(), random.Random(args.seed)
    kinds = schedule(draw, args.events)
    with night_place() as place:
        fleet = Fleet(place, pack(place), args.steps)
        try:
            weights = references(fleet)
            print(f"seed {args.seed}, {place}: undisturbed runs after {time.monotonic() - begin:.0f} s", flush=True)
            fleet.launch(args.runs, draw)
            events = happen(fleet, kinds, draw, 60 * args.minutes)
            print()
            bad = (
                judge(fleet, weights) + len(kinds) + sum(event.failure != "" or event.took is None for event in events)
            )
        finally:
            for run in fleet.runs:
                slurm("scancel", "--quiet", "--me", f"--name={run.path.name}")
    seen = len({event.kind for event in events})
    never = f"; never happened: {', '.join(kinds)}" if kinds else ""
    took = time.monotonic() - begin
    print(f"{len(events)} events of {seen} kinds, {len(fleet.runs)} runs, {took:.0f} s: {bad} violations{never}")
    if not bad:
        shutil.rmtree(place, ignore_errors=True)
    return 1 if bad else 0


def pack(place: Path) -> Path:
    """The shards that all runs read."""
    for words in (
        ("synth", "iemocap", "--out", place / "raw", "--utterances", 40),
        ("pack", "iemocap", place / "raw", "--out", place / "shards", "--video-size", 48, "--workers", 1),
    ):
        command = [sys.executable, "-m", "launch.cli.main", *map(str, words)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return place / "shards"


if __name__ == "__main__":
    sys.exit(main())
