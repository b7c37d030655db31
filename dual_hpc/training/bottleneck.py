"""Why a training is slower than it could be, in one sentence: pure, over every rank's seconds by phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal

from dual_hpc.training.rank_times import WRITING, RankSeconds, passed

Table = Sequence[RankSeconds]  # of one interval, one row for each rank

INPUT_LIMIT = 0.2  # share of the time from which waiting for data is told
SAVING_LIMIT = 0.2  # the same of saves
RANK_LIMIT = 0.1  # share of the time by which one rank delays all
BLOCKS, BLOCK_STEPS = 5, 5  # what is judged: so many blocks of at least so many steps
FEWEST_BLOCKS = 4

# What a rank does itself, and how it is called.
OWN = {
    "data_wait": "waiting for data",
    "forward": "forward",
    "backward": "backward",
    "optimizer": "the optimizer",
    WRITING: "writing checkpoints",
}


@dataclass(frozen=True)
class Bottleneck:
    """What costs the most.

    Attributes:
        kind: one rank delays the others; every rank waits for data; saves stall the training.
        phase: one of `OWN`, or "save_stall".
        rank: the slow one.
        share: of the time, that it costs.
        sentence: for people.
    """

    kind: Literal["slow rank", "input", "saving"]
    phase: str
    rank: int | None
    share: float
    sentence: str

    @property
    def key(self) -> tuple[str, str, int | None]:
        """What makes it another one."""
        return self.kind, self.phase, self.rank


class Judge:
    """Collects the tables of intervals, and judges the last ones. The first interval is left out: workers start in it,
    and kernels are compiled."""

    def __init__(self, hosts: Sequence[str], remedy: str) -> None:
        """
        Args:
            hosts: the node of each rank.
            remedy: what to change where data come too slowly.
        """
        self._hosts, self._remedy = hosts, remedy
        self._blocks: list[Table] = []
        self._open: tuple[int, Table] | None = None
        self._intervals = 0

    def after_interval(self, steps: int, table: Table) -> Bottleneck | None:
        """What the last intervals show; None where nothing stands out, or they are too few."""
        self._intervals += 1
        if self._intervals > 1:
            counted, open_table = self._open or (0, [dict.fromkeys(row, 0.0) for row in table])
            merged = [{k: a[k] + b[k] for k in b} for a, b in zip(open_table, table, strict=True)]
            self._open = (counted + steps, merged)
            if counted + steps >= BLOCK_STEPS:
                self._blocks = [*self._blocks, merged][-BLOCKS:]
                self._open = None
        return bottleneck(self._blocks, self._hosts, self._remedy) if len(self._blocks) >= FEWEST_BLOCKS else None


def bottleneck(blocks: Sequence[Table], hosts: Sequence[str], remedy: str) -> Bottleneck | None:
    """The one thing to say: a rank that delays the others before what holds for all of them.

    Args:
        blocks: some consecutive intervals, each with the seconds of every rank.
    """
    slow = _slow_rank(blocks, hosts) if len(hosts) > 1 else None
    if slow is not None:
        return slow
    waits = median(min(_shares(block, "data_wait")) for block in blocks)
    if waits > INPUT_LIMIT:
        where = " on every rank" if len(hosts) > 1 else ""
        sentence = f"input-bound: {waits:.0%} of the step waits for data{where}; {remedy}"
        return Bottleneck("input", "data_wait", None, waits, sentence)
    saves = mean(median(_shares(block, "save_stall")) for block in blocks)
    if saves > SAVING_LIMIT:
        sentence = f"saves stall the training {saves:.0%} of its time; raise checkpoint.every_steps or every_minutes"
        return Bottleneck("saving", "save_stall", None, saves, sentence)
    return None


def _shares(block: Table, phase: str) -> list[float]:
    """Of each rank."""
    return [row[phase] / max(passed(row), 1e-9) for row in block]


def _slow_rank(blocks: Sequence[Table], hosts: Sequence[str]) -> Bottleneck | None:
    """The rank and the phase with the largest delay, where it persists."""
    found: list[Bottleneck] = []
    together = _sum(blocks)
    for phase in OWN:
        # Of hundreds of ranks only the slowest is compared with the others: this is computed at every logging step.
        rank = max(range(len(hosts)), key=lambda number: together[number][phase])
        if (delay := _delay(blocks, rank, phase)) >= RANK_LIMIT:
            found.append(Bottleneck("slow rank", phase, rank, delay, _sentence(blocks, hosts, rank, phase, delay)))
    return max(found, key=lambda one: one.share, default=None)


def _delay(blocks: Sequence[Table], rank: int, phase: str) -> float:
    """By which share of the time this rank delays the others in a phase; 0 if it does not persist."""
    if phase == WRITING:
        return _delay_of_saves(blocks, rank)
    delays = []
    for block in blocks:
        excess = _excess(block, rank, phase)
        # A rank that is slow here and fast there delays nobody.
        altogether = sum(_excess(block, rank, name) for name in OWN if name != WRITING)
        delays.append(min(excess, altogether) / max(mean(map(passed, block)), 1e-9))
    usual = median(delays)
    # A rank that is slow by chance is not slow in each of them; of five, one may be disturbed by something else.
    return usual if sorted(delays)[len(delays) // 5] >= usual / 2 else 0.0


def _delay_of_saves(blocks: Sequence[Table], rank: int) -> float:
    """Saves are rare, and cost nothing that the training does not wait for."""
    together = _sum(blocks)
    total = max(mean(map(passed, together)), 1e-9)
    stalled = median(row["save_stall"] for row in together)
    often = sum(_excess(block, rank, WRITING) > 0 for block in blocks if block[rank][WRITING] > 0) >= 2
    return min(_excess(together, rank, WRITING), stalled) / total if often else 0.0


def _excess(block: Table, rank: int, phase: str) -> float:
    """Seconds that a rank needs more than the median of the others."""
    return block[rank][phase] - median(row[phase] for number, row in enumerate(block) if number != rank)


def _sum(blocks: Sequence[Table]) -> list[RankSeconds]:
    return [{name: sum(row[name] for row in rows) for name in rows[0]} for rows in zip(*blocks, strict=True)]


def _sentence(blocks: Sequence[Table], hosts: Sequence[str], rank: int, phase: str, delay: float) -> str:
    together = _sum(blocks)
    own, others = together[rank][phase], median(row[phase] for n, row in enumerate(together) if n != rank)
    who = f"rank {rank} ({hosts[rank]})"
    rest = "the others" if len(hosts) > 2 else f"rank {1 - rank}"
    cost = f"every step waits for it, {delay:.0%} of the time"
    if phase == "data_wait":
        share, usual = (seconds / max(passed(together[rank]), 1e-9) for seconds in (own, others))
        return f"{who} waits for data {share:.0%} of the time, {rest} {usual:.0%}; {cost}"
    if own < 3 * others:
        return f"{who} is {own / others - 1:.0%} slower in {OWN[phase]} than {rest}; {cost}"
    times = f"{own / others:.1f}" if own < 100 * others else "more than 100"
    return f"{who} needs {times} times as long for {OWN[phase]} as {rest}; {cost}"
