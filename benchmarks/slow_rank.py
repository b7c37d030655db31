"""`make bench-slow_rank`: forty planted slowdowns on two to four ranks, and twenty trainings without one.

A network that computes by sleeping runs under DeepSpeed with gloo, under ZeRO 0 to 3; one rank loads, computes forward
or backward, or writes checkpoints more slowly, by a chosen amount. The product must name the rank and the phase, and
say nothing of the trainings in which nothing is planted.

`--traceml PROGRAM` asks TraceML about the same slowdowns, in a table of its own: see `ask_traceml.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import ask_traceml, record
from launch.job.ports import LOOPBACK, free_port
from tests.distributed.fork_server import ForkServer

WORKER = Path(__file__).parents[1] / "tests" / "distributed" / "workers" / "slow_rank.py"
# What is planted -> the phase that must be named, and by how many milliseconds a step is slowed down.
PLANTED = {
    "loader": ("data_wait", (250, 400)),
    "forward": ("forward", (50, 110)),
    "backward": ("backward", (50, 110)),
    "disk": ("writing", (50, 100)),
}


def cases(planted: int, clean: int, seed: int) -> dict[int, list[str]]:
    """Number of ranks -> its cases, in random order."""
    chance = random.Random(seed)
    found: dict[int, list[str]] = {2: [], 3: [], 4: []}
    for number in range(planted + clean):
        ranks = 2 + number % 3
        if number < planted:
            phase = tuple(PLANTED)[number // 3 % len(PLANTED)]
            amount = chance.randint(*PLANTED[phase][1])
            stage = chance.choice((1, 2) if phase == "disk" else (0, 1, 2, 3))  # under ZeRO 0 only rank 0 writes
            found[ranks].append(f"{chance.randrange(ranks)}:{phase}:{amount}:{stage}")
        else:
            found[ranks].append(f"none:{number}:0:{number % 4}")
    for some in found.values():
        chance.shuffle(some)
    return found


def conclude(server: ForkServer, ranks: int, some: list[str], folder: Path) -> list[dict[str, Any]]:
    """What the product says of each case."""
    out = folder / f"concluded-{ranks}.jsonl"
    where = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(free_port())}
    processes = [
        server.start(WORKER, [out, *some], where | {"RANK": str(r), "LOCAL_RANK": str(r)}, folder / f"{ranks}-{r}.log")
        for r in range(ranks)
    ]
    while any(process.poll() is None for process in processes):
        if any(process.poll() not in (None, 0) for process in processes):
            for process in processes:
                process.kill()
            raise SystemExit(f"a rank failed: {(folder / f'{ranks}-0.log').read_text()[-2000:]}")
        time.sleep(0.1)
    return [json.loads(line) for line in out.read_text().splitlines()]


def beside(program: Path, chosen: dict[int, list[str]], each: int, folder: Path) -> list[dict[str, Any]]:
    """TraceML's answers to some cases of each kind, of every number of ranks."""
    answers: list[dict[str, Any]] = []
    for kind in (*PLANTED, "none"):
        mine = [(ranks, one) for ranks, some in chosen.items() for one in some if planted_in({"case": one}) == kind]
        for ranks, case in mine[:: max(1, len(mine) // each)][:each]:
            answers.append(ask_traceml.ask(program, ranks, case, folder))
            print(json.dumps(answers[-1]), file=sys.stderr, flush=True)
    return answers


def planted_in(answer: dict[str, Any]) -> str:
    who, planted, *_ = answer["case"].split(":")
    return "none" if who == "none" else str(planted)


def is_right(answer: dict[str, Any]) -> bool:
    who, planted, _, _ = answer["case"].split(":")
    if who == "none":
        return answer["rank"] is None and answer["phase"] is None
    return (answer["rank"], answer["phase"]) == (int(who), PLANTED[planted][0])


def names_rank(answer: dict[str, Any]) -> bool:
    return str(answer["rank"]) == answer["case"].split(":")[0]


def rows_of(kind: str, answers: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many of the cases of a kind were judged rightly; beside TraceML those that it was asked about."""
    mine = [answer for answer in answers if planted_in(answer) == kind]
    what = "no alarm" if kind == "none" else "rank and phase named"
    rows = [record.row(f"{kind}: {what}", sum(map(is_right, mine)), len(mine), "cases", "trainings")]
    peer = [answer for answer in theirs if planted_in(answer) == kind]
    seen = {(answer["ranks"], answer["case"]) for answer in peer}
    same = [answer for answer in mine if (answer["ranks"], answer["case"]) in seen]
    judged = [(what, is_right)] if kind == "none" else [(what, is_right), ("rank named", names_rank)]
    for words, right in judged if peer else []:
        ours, other = sum(map(right, same)), sum(map(right, peer))
        rows.append(record.row(f"{kind}: {words}, of {len(peer)}", ours, other, "TraceML", "trainings"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow_rank", description=__doc__)
    parser.add_argument("--planted", type=int, default=40)
    parser.add_argument("--clean", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--traceml", type=Path, metavar="PROGRAM", help="the command of TraceML, to be asked as well")
    parser.add_argument("--traceml-each", type=int, default=1000, metavar="N", help="cases of each kind; default all")
    options = parser.parse_args()
    server, answers, theirs = ForkServer(), [], []
    began = os.getloadavg()[0]
    chosen = cases(options.planted, options.clean, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        for ranks, some in chosen.items():
            answers += conclude(server, ranks, some, Path(folder))
        if options.traceml:
            theirs = beside(options.traceml, chosen, options.traceml_each, Path(folder))
    server.close()
    rows = [one for kind in (*PLANTED, "none") for one in rows_of(kind, answers, theirs)]
    wrong = [a for a in answers if not is_right(a)]
    for answer in wrong:
        print(json.dumps(answer), file=sys.stderr)
    note = (
        f"Load of the machine {began:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end; seed {options.seed}."
    )
    if theirs:
        note += " " + ask_traceml.NOTE
    name = "slow_rank_traceml" if theirs else "slow_rank"
    record.write(name, rows, note, module="slow_rank", wrong=wrong, traceml=theirs)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
