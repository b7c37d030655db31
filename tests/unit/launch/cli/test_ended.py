"""What follows a training that was followed to its end, or to a stop."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from launch.cli.ended import STOPPED, next_commands, report_end, report_interruption
from launch.cli.exit_code import exit_code
from launch.cli.main import VERBS


def test_a_stopped_training_does_not_say_done_and_a_script_notices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir.create(tmp_path / "runs" / "trial", load_config("demo", [f"store={tmp_path}"]))
    run.append_segment(Segment(event="end", job_id="7", reason="stopped", step=12))
    assert report_end(run.path) == STOPPED == 3
    assert capsys.readouterr().out == "stopped at step 0: `dual-hpc resume trial` continues it\n"
    run.append_segment(Segment(event="end", job_id="7", reason="finished", step=40))
    assert report_end(run.path) == 0
    assert capsys.readouterr().out.startswith("done: `dual-hpc evaluate ")


def test_after_ctrl_c_the_way_to_go_on_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "trial-2"
    run.mkdir()
    with closing(Journal(run / "journal.jsonl")) as journal:
        journal.event("start", 0, total_steps=40)
        journal.metrics(12, {"train/loss": 1.0})
    report_interruption(run, local=True)
    how = "the same command, or `dual-hpc train --run trial-2`, continues from its last checkpoint"
    assert capsys.readouterr().err == f"stopped at step 12 of 40: {how}\n"
    report_interruption(run, local=False)
    assert capsys.readouterr().err.startswith("the job goes on; `dual-hpc watch trial-2` shows it again")


def test_what_follows_a_submission_are_commands_that_exist() -> None:
    said = next_commands("trial-2")
    assert set(re.findall(r"`dual-hpc (\w+) trial-2`", said)) == {"watch", "why"} <= VERBS.keys()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["pack", "meld", "/x"], True),
        (["evaluate", "trial-2"], True),
        (["evaluate", "--model", "m", "--shards", "s"], False),
        (["evaluate", "--model", "m", "--shards", "s", "--out", "o"], True),
        (["predict", "--input", "x"], False),
        ([], False),
    ],
)
def test_an_interruption_says_whether_the_same_command_continues(
    words: list[str], hint: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert exit_code(interrupted, words) == 130
    assert ("the same command continues" in capsys.readouterr().err) == hint
