"""The nodes that a new submission avoids, because they kept the jobs before from working."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.run.directory import RunDir
from launch.cluster.hostlist import expand_hosts
from launch.cluster.slurm import LOOK_PATIENCE, Scheduler
from launch.records import submissions
from launch.runs.evidence import collect_evidence
from launch.runs.failed import is_installation


def nodes_to_avoid(runs: Sequence[RunDir], request: LaunchConfig) -> dict[str, str]:
    """The nodes that kept the newest jobs of these runs from working, and why; told on standard error.

    Args:
        runs: a run, or those members of a sweep that are submitted again as one array.
        request: the nodes that it names are taken all the same.

    Returns:
        What is wrong, by node. Empty where several nodes had these jobs and none of them was fit: others would not be
        better, the installation is at fault.
    """
    scheduler = Scheduler(patience=LOOK_PATIENCE)
    found = [collect_evidence(run, scheduler) for run in runs if submissions.read(run.path)]
    unfit = {node: problem for e in found if not is_installation(e) for node, problem in e.unfit.items()}
    had = {node for e in found if e.past is not None for node in expand_hosts(e.past.nodes)}
    if len(runs) > 1 and len(had) > 1 and had <= unfit.keys():
        return {}
    wanted = expand_hosts(request.nodelist or "")
    avoid = {node: problem for node, problem in unfit.items() if node not in wanted}
    for node, problem in avoid.items():
        print(f"dual-hpc: note: {node} is avoided: {problem} (launch.nodelist={node} takes it)", file=sys.stderr)
    return avoid
