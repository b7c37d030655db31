"""What each rank says of its node when they first meet, and what follows from it for all of them. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from dual_hpc.errors import DualError, UserError
from launch.job.node_faults import BadNode


@dataclass(frozen=True)
class Report:
    """Of one rank.

    Attributes:
        problem: why its node is unfit; "" where it is not.
        gpu: the unique id of the GPU that it was given; "" on a CPU.
    """

    problem: str = ""
    gpu: str = ""

    def text(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Verdict:
    """What every rank is told: which nodes are unfit, else what the user must change, else nothing.

    Attributes:
        words: in one line.
        nodes: those that are unfit.
    """

    words: str = ""
    nodes: list[str] = field(default_factory=list)

    def text(self) -> str:
        return json.dumps(asdict(self))

    def error(self) -> DualError | None:
        """What this rank ends with; None where it goes on."""
        if self.nodes:
            return BadNode(self.words, self.nodes)
        return UserError(self.words) if self.words else None


def judge(nodes: Sequence[str], reports: Sequence[Report | None], seconds: float) -> Verdict:
    """What follows from the ranks' reports.

    Args:
        nodes: the node of each rank.
        reports: None of a rank that did not answer within `seconds`.
    """
    by_problem: dict[str, set[str]] = defaultdict(set)
    for node, report in zip(nodes, reports, strict=True):
        if report is None:
            by_problem[f"no answer within {seconds:.0f} s"].add(node)
        elif report.problem:
            by_problem[report.problem].add(node)
    if by_problem:
        words = "; ".join(f"{', '.join(sorted(which))}: {problem}" for problem, which in by_problem.items())
        return Verdict(words, sorted(set().union(*by_problem.values())))
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for rank, (node, report) in enumerate(zip(nodes, reports, strict=True)):
        if report is not None and report.gpu:
            holders[node, report.gpu].append(rank)
    for (node, gpu), ranks in holders.items():
        if len(ranks) > 1:
            gpus = len({other for where, other in holders if where == node})
            return Verdict(
                f"launch.ranks_per_node={nodes.count(node)}: ranks {', '.join(map(str, ranks))} on {node} have one GPU "
                f"({gpu}), and each needs its own; set launch.ranks_per_node={gpus}, or have Slurm give each rank one "
                "(`gpu_request` of the profile)"
            )
    return Verdict()
