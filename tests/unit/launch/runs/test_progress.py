"""How far a run is, how good, and how long it takes yet, from its journal alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch.runs.progress import RunProgress

Line = tuple[float, int, dict[str, float] | str]  # seconds, step, metrics or event


def written(path: Path, *lines: Line, **start: object) -> RunProgress:
    """The progress of a run whose journal has these lines."""
    with path.open("w") as file:
        for seconds, step, what in lines:
            event = {"event": what, "fields": {"total_steps": 100, **start}}
            said = event if isinstance(what, str) else {"metrics": what}
            file.write(json.dumps({"t": round(1000 * seconds), "step": step, **said}) + "\n")
    progress = RunProgress()
    progress.update(path)
    return progress


def test_the_best_is_that_of_the_score_that_selects(tmp_path: Path) -> None:
    scores = [(1.0, 5, 0.4, 0.9), (2.0, 10, 0.6, 0.5), (3.0, 15, 0.5, 0.7)]
    lines: list[Line] = [
        (t, step, {"val/av/ua": ua, "val/avt/ua": avt, "val/av/loss": 1 - ua}) for t, step, ua, avt in scores
    ]
    first = written(tmp_path / "a.jsonl", (0.0, 0, "start"), *lines)
    assert first.best == (0.6, 10)  # as earlier versions, whose journals do not say what selects
    assert first.scores() == [
        "best UA {A,V} 60.0 % at step 10",
        "last UA {A,V} 50.0 %",
        "last UA {A,V,T} 70.0 %",
    ]
    other = written(tmp_path / "b.jsonl", (0.0, 0, "start"), *lines, selects="val/avt/ua", higher_is_better=True)
    assert other.best == (0.9, 5)
    lower = written(tmp_path / "c.jsonl", (0.0, 0, "start"), *lines, selects="val/av/loss", higher_is_better=False)
    assert lower.best == (pytest.approx(0.4), 10)
    late = written(tmp_path / "d.jsonl", (0.0, 0, "start"), *lines, selects="val/av/ua", selects_from=11)
    assert late.best == (0.5, 15)


def test_scores_are_named_by_what_the_data_have(tmp_path: Path) -> None:
    line: Line = (1.0, 5, {"val/av/ua": 0.4})
    found = written(tmp_path / "a.jsonl", (0.0, 0, "start"), line, reads="a")
    assert found.scores() == ["best UA {A} 40.0 % at step 5", "last UA {A} 40.0 %"]


def test_the_time_left_is_that_of_the_newest_job_with_its_validations(tmp_path: Path) -> None:
    slow: list[Line] = [(0.0, 0, "start"), (500.0, 10, {"train/loss": 1.0, "train/epoch": 0.5})]
    assert written(tmp_path / "a.jsonl", *slow).seconds_left == pytest.approx(4500.0)
    fast: list[Line] = [
        (1000.0, 10, "start"),
        (1010.0, 15, {"train/loss": 1.0, "train/epoch": 0.75}),
        (1030.0, 15, {"val/av/ua": 0.5}),
    ]
    again = written(tmp_path / "b.jsonl", *slow, *fast, (1040.0, 20, {"train/loss": 0.9, "train/epoch": 1.0}))
    assert again.seconds_left == pytest.approx(80 * 40 / 10)
    assert (again.epoch, again.epochs) == (1.0, pytest.approx(5.0))
    assert again.line() == "epoch 1.0/5  loss 0.900  best UA {A,V} 50.0 % at step 15"


def test_a_job_that_has_just_begun_promises_nothing(tmp_path: Path) -> None:
    progress = written(tmp_path / "a.jsonl", (0.0, 0, "start"))
    assert progress.seconds_left is None and progress.epochs is None and progress.best is None
    assert progress.line() == "" and RunProgress().line() == ""
