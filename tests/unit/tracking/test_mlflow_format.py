from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config import load_config
from dual_hpc.run.directory import Segment
from dual_hpc.tracking.mlflow_format import flatten, jobs_of, mlflow_name, report_metrics, status_of


@pytest.mark.parametrize(
    ("segments", "status"),
    [
        ([], "SCHEDULED"),
        ([("start", None)], "RUNNING"),
        ([("start", None), ("end", "deadline")], "SCHEDULED"),
        ([("start", None), ("end", "deadline"), ("start", None)], "RUNNING"),
        ([("start", None), ("end", "finished")], "FINISHED"),
        ([("start", None), ("end", "failed")], "FAILED"),
    ],
)
def test_the_last_job_decides_the_status(segments: list[tuple[Any, str | None]], status: str) -> None:
    assert status_of([Segment(event=event, job_id="1", reason=reason) for event, reason in segments]) == status


@given(st.text(min_size=1))
def test_any_mlflow_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(mlflow_name(name))


def test_the_charts_of_ranks_and_hours_come_behind_those_of_the_losses() -> None:
    keys = ("ranks/backward_worst", "goodput/percent", "train/loss", "best/av/ua", "val/av/ua")
    shown = sorted(map(mlflow_name, keys), key=lambda name: name.rpartition("/")[0])  # as MLflow orders its sections
    assert shown == ["best/av/ua", "train/loss", "train/goodput/percent", "train/ranks/backward_worst", "val/av/ua"]


def test_parameters_are_flat_and_short(tmp_path: Path) -> None:
    flat = flatten(load_config("demo", [f"store={tmp_path}"]).model_dump(mode="json"))
    assert flat["data.protocol"].startswith("iemocap") and flat["optim.betas"].startswith("[")
    assert all(len(value) <= 6000 for value in flat.values())


def test_the_jobs_of_a_run_are_named_once_and_of_very_many_the_latest() -> None:
    segments = [Segment(event=event, job_id=str(n)) for n in range(2000) for event in ("start", "end")]
    assert jobs_of(segments[:4]) == "0,1"
    assert jobs_of(segments).endswith(",1998,1999") and len(jobs_of(segments)) < 8000


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.binary()
    | JSON.map(lambda rows: json.dumps(rows).encode())
    | JSON.map(lambda rows: json.dumps({"subsets": {"av": rows}, "text_reliance": rows}).encode())
)
def test_any_file_among_the_reports_has_scores_or_none(content: bytes) -> None:
    assert all(isinstance(value, float) for value in report_metrics("x", content).values())


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("failed", "FAILED"),
        ("out of memory", "FAILED"),
        ("node failure", "FAILED"),
        ("lost", "FAILED"),
        ("cancelled", "KILLED"),
        ("preempted", "KILLED"),
        ("stopped", "KILLED"),
        ("finished", "RUNNING"),
        ("silent", "RUNNING"),
        (None, "RUNNING"),
    ],
)
def test_a_run_that_died_without_a_word_does_not_run_for_ever(state: str | None, status: str) -> None:
    assert status_of([Segment(event="start", job_id="1")], state) == status
