"""A run that needs three allocations gets them by itself, by requeue and by chaining, and ends as if it had had one:
`make slurm-long`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read
from launch.records import submissions
from tests.slurm.observe import assert_undisturbed, ends, profile, starts

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2400)]
ALLOCATION = 120.0  # seconds: two of Slurm's minutes, of which the margin and the start take a part


def seconds_per_step(run: RunDir) -> float:
    """How long a step takes on this machine, as it is now."""
    times = [entry.time_ms / 1000 for entry in read(run.journal) if entry.step is not None and 5 <= entry.step <= 35]
    return (max(times) - min(times)) / 30


def test_a_run_gets_the_three_allocations_it_needs(cluster: Any, tmp_path: Path) -> None:
    side_by_side = 3
    steps = max(200, round(1.6 * ALLOCATION / (side_by_side * seconds_per_step(cluster.reference()))))
    length = ("launch.nodes=1", f"training.max_steps={steps}", "training.epochs=1000000", "checkpoint.every_steps=1000")
    alone = cluster.submit("alone", *length)
    limited = (*length, "launch.hours=0.0333", "launch.total_hours=1", "checkpoint.margin_seconds=20")
    runs = {
        requeue: cluster.submit(
            "thrice-requeued" if requeue else "thrice-chained",
            *limited,
            profile(tmp_path, f"brief-{requeue}", "signal_seconds: 5", f"requeue: {str(requeue).lower()}"),
        )
        for requeue in (True, False)
    }
    for run in (alone, *runs.values()):
        cluster.finish(run, 1800)
    for requeue, run in runs.items():
        entries = submissions.read(run.path)
        again = len(starts(run)) - 1
        assert again >= 2
        assert [entry.event for entry in entries] == ["submit", *["requeue" if requeue else "chain"] * again]
        assert {entry.cause for entry in entries[1:]} == {"time limit"}
        assert len(submissions.jobs(entries)) == (1 if requeue else 1 + again)
        stopped = [("stopped", step) for step in starts(run)[1:]]
        assert ends(run) == [*stopped, ("finished", steps)] and starts(run)[0] == 0
        assert_undisturbed(run, alone)
