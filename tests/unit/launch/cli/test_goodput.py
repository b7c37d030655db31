"""`dual-hpc goodput`: lines, JSON and a picture, of a run with records of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dual_hpc.run.directory import Segment
from dual_hpc.run.journal import Journal
from launch.cli.main import main
from launch.records import submissions
from tests.unit.training.fakes import make_run


def test_it_prints_shares_that_sum_to_a_hundred_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "runs" / "a")
    where = [str(run.path)]
    assert main(["goodput", *where]) == 0 and "no job of a has begun yet" in capsys.readouterr().out
    submissions.record(run.path, submissions.Entry(event="submit", job_id="7", time=1000))
    run.append_segment(Segment(event="start", job_id="7", time=1300, gpus=4, cores=8, allocated=1200))
    with Journal(run.journal) as journal:
        journal.metrics(10, {"train/loss": 1.0}, time_ms=1_600_000)
    run.append_segment(Segment(event="end", job_id="7", time=1600, step=10, reason="finished"))

    picture = tmp_path / "life.svg"
    assert main(["goodput", *where, "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "goodput 75%: of 0.444 GPU-hours 0.333 were useful steps, 0.111 start-up; 0.222 in the queue" in said
    assert "<svg" in picture.read_text()
    assert main(["goodput", *where, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["shares"].values()) == pytest.approx(100) and found["goodput"] == 0.75
    assert main(["goodput", *where, "--picture", "life.bmp"]) == 2
