"""A run that needs three allocations gets them by itself, by requeue and by chaining: `make slurm-long`."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.tracking.journal import read
from launch import history
from launch.profiles import FOLDER

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("requeue", [True, False], ids=["requeue", "chain"])
def test_a_run_gets_the_three_allocations_it_needs(cluster: Any, tmp_path: Path, requeue: bool) -> None:
    profile = tmp_path / "brief.yaml"
    profile.write_text(
        (FOLDER / "dev.yaml").read_text().replace("signal_seconds: 60", "signal_seconds: 30")
        + f"requeue: {str(requeue).lower()}\n"
    )
    run = cluster.submit(
        "requeued" if requeue else "chained",
        *(f"launch.profile={profile}", "launch.nodes=1", "launch.hours=0.0333", "launch.total_hours=0.5"),
        *("training.epochs=100000", f"training.max_steps={steps_in(cluster, 130)}", "checkpoint.every_steps=1000"),
    )
    cluster.finish(run, 1500)
    starts = [segment for segment in run.segments() if segment.event == "start"]
    assert len(starts) >= 3 and [s.step for s in starts] == sorted({s.step for s in starts})
    entries = history.read(run.path)
    assert {entry.event for entry in entries[1:]} == {"requeue" if requeue else "chain"}
    assert {entry.cause for entry in entries[1:]} == {"time limit"}
    assert len(history.jobs(entries)) == (1 if requeue else len(starts))


def steps_in(cluster: Any, seconds: float) -> int:
    """How many optimiser steps this machine takes in that time; of an allocation's two minutes about one is left."""
    run = cluster.submit("pace", "launch.nodes=1")
    cluster.finish(run)
    times = [entry.time_ms for entry in read(run.journal) if "train/loss" in entry.metrics]
    return int(1000 * seconds / statistics.median(later - earlier for earlier, later in itertools.pairwise(times)))
