"""What `runs` shows of a test that `dual-hpc evaluate` has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir, Segment
from launch.cli.runs import score
from launch.cluster.slurm import Scheduler
from launch.runs.report_scores import REPORT, read_test_interval, read_test_scores
from launch.runs.status import run_statuses
from launch.runs.summary import summarize


@pytest.mark.parametrize(
    ("av", "interval", "shown"),
    [
        ({"ua": 0.6431, "interval": {"ua": [0.612, 0.6708]}}, (0.612, 0.6708), "64.3 [61.2, 67.1]"),
        ({"ua": 0.5}, None, "50.0"),  # of an earlier version
        ({"ua": 0.5, "interval": {"ua": [0.1]}}, None, "50.0"),
        ({"ua": 0.5, "interval": "wide"}, None, "50.0"),
        ({}, None, ""),
        ([], None, ""),
        ("av", None, ""),
    ],
)
def test_a_score_is_shown_with_its_interval_where_there_is_one(
    tmp_path: Path, av: Any, interval: tuple[float, float] | None, shown: str
) -> None:
    run = RunDir.create(tmp_path / "run", load_config("demo", [f"store={tmp_path}"]))
    run.append_segment(Segment(event="start", job_id="7", hosts=["n2", "n1"]))
    (run.reports / REPORT).write_text(json.dumps({"subsets": {"av": av}}))
    (status,) = run_statuses([run], Scheduler(), 0.0)
    row = summarize(run, status, 0.0)
    assert row.test_ua_interval == interval and score(row) == shown
    assert row.nodes == "n2,n1", "as the job wrote them, where Slurm does not say"


def test_no_report_and_a_damaged_one_have_no_scores(tmp_path: Path) -> None:
    for text in (
        None,
        "{",
        "[]",
        '{"subsets": 3}',
        '{"subsets": {"av": {"ua": 1e400, "interval": {"ua": [0, 1e400]}}}}',
    ):
        if text is not None:
            (tmp_path / REPORT).write_text(text)
        assert read_test_scores(tmp_path).get("av", {}).get("wa") is None
        assert read_test_interval(tmp_path, "av", "wa") is None
