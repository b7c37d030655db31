"""What follows a training that was followed to its end, or to a stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir, Segment
from launch.cli.ended import STOPPED, report_end


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
