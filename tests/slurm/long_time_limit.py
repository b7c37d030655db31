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
    lines = (FOLDER / "dev.yaml").read_text().replace("signal_seconds: 60", "signal_seconds: 30")
    profile.write_text(f"{lines}requeue: {str(requeue).lower()}\n")
    name = "requeued" if requeue else "chained"
    run = cluster.submit(
        name,
        *(f"launch.profile={profile}", "launch.nodes=1", "launch.hours=0.0333", "launch.total_hours=0.5"),
        *("training.epochs=1000000", "training.max_steps=1000000", "checkpoint.every_steps=1000"),
    )

    def starts() -> list[int]:
        return [segment.step for segment in run.segments() if segment.event == "start"]

    cluster.until("it is in its third allocation", lambda: len(starts()) == 3, 1200)
    cluster.dual("cancel", name)
    assert starts()[0] == 0 < starts()[1] < starts()[2]
    ends = [segment for segment in run.segments() if segment.event == "end"]
    assert [(end.reason, end.step) for end in ends] == [("stopped", step) for step in starts()[1:]]
    entries = history.read(run.path)
    assert [entry.event for entry in entries[:4]] == ["submit", *["requeue" if requeue else "chain"] * 2, "cancel"]
    assert {entry.cause for entry in entries[1:3]} == {"time limit"}
    assert len(history.jobs(entries)) == (1 if requeue else 3)
