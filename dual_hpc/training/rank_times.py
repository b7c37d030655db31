"""Every rank's seconds by phase, exchanged in the reduction that a step makes anyway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import torch

from dual_hpc.run.phases import PHASES
from dual_hpc.training.phase_times import REST, PhaseTimes

WRITING = "writing"  # of this rank's files of checkpoints, on the disk, in whichever thread
COLUMNS = (*PHASES, REST, WRITING)

RankSeconds = dict[str, float]  # column -> seconds, of one rank in one interval


class RankTimes:
    """This rank's part of the table of all ranks.

    Args:
        writing: seconds that this rank has written checkpoints in this job.
    """

    def __init__(self, times: PhaseTimes, rank: int, size: int, writing: Callable[[], float] = lambda: 0.0) -> None:
        self._times, self._rank, self._size = times, rank, size
        self._sent: RankSeconds = {}
        self._writing = writing

    def row(self, device: torch.device) -> torch.Tensor:
        """What this rank adds to the reduction: float64 [ranks * columns], the seconds since the last call in its
        own row, and zeros in those of the others."""
        now = {**self._times.seconds(), WRITING: self._writing()}
        table = torch.zeros(self._size, len(COLUMNS), dtype=torch.float64)
        table[self._rank] = torch.tensor([now.get(name, 0.0) - self._sent.get(name, 0.0) for name in COLUMNS])
        self._sent = now
        return table.flatten().to(device)


def table_of(values: Sequence[float]) -> list[RankSeconds]:
    """The reduced rows, one for each rank."""
    width = len(COLUMNS)
    rows = (values[start : start + width] for start in range(0, len(values), width))
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def spread(table: Sequence[RankSeconds]) -> dict[str, float]:
    """Of each phase the median rank's share of the interval, and the worst rank's: `ranks/PHASE_median`,
    `ranks/PHASE_worst`. Nothing of a single rank."""
    found = {}
    for phase in PHASES if len(table) > 1 else ():
        shares = [row[phase] / total if (total := passed(row)) > 0 else 0.0 for row in table]
        found[f"ranks/{phase}_median"], found[f"ranks/{phase}_worst"] = median(shares), max(shares)
    return found


def passed(row: RankSeconds) -> float:
    """The seconds of an interval: a checkpoint is written beside the training, or in a phase that is counted."""
    return sum(seconds for name, seconds in row.items() if name != WRITING)
