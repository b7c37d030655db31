"""A run that needs three allocations gets them by itself, by requeue and by chaining: `make slurm-long`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launch import history
from launch.profiles import FOLDER

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("requeue", [True, False], ids=["requeue", "chain"])
def test_a_run_gets_the_three_allocations_it_needs(cluster: Any, tmp_path: Path, requeue: bool) -> None:
    profile = tmp_path / "brief.yaml"
    profile.write_text(
        (FOLDER / "dev.yaml").read_text().replace("signal_seconds: 60", "signal_seconds: 45")
        + f"requeue: {str(requeue).lower()}\n"
    )
    name = "requeued" if requeue else "chained"
    run = cluster.submit(
        name, f"launch.profile={profile}", "launch.nodes=1", "launch.hours=0.05", "launch.total_hours=0.5",
        "training.epochs=10000", "training.max_steps=3000", "checkpoint.every_steps=1000", "model.hidden_size=32",
    )  # fmt: skip
    cluster.finish(run, 1500)
    starts = [segment for segment in run.segments() if segment.event == "start"]
    assert len(starts) >= 3 and [s.step for s in starts] == sorted({s.step for s in starts})
    entries = history.read(run.path)
    assert {entry.event for entry in entries[1:]} == {"requeue" if requeue else "chain"}
    assert {entry.cause for entry in entries[1:]} == {"time limit"}
    assert len(history.jobs(entries)) == (1 if requeue else len(starts))
