"""An evaluation that waits for its run; on the real Slurm: tests/slurm/test_command.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from launch.cli.then_evaluate import check_then
from launch.cluster.profiles import load_profile
from launch.runs.plan import PlannedRun


def test_it_needs_a_queue_and_a_run_that_keeps_its_job(tmp_path: Path) -> None:
    plan = PlannedRun(tmp_path / "trial", load_config("demo", []))
    dev = load_profile("dev")
    check_then(plan, dev)
    with pytest.raises(UserError, match="--then: local has no queue"):
        check_then(plan, load_profile("local"))
    with pytest.raises(UserError, match="--then: on dev a run goes on in new jobs"):
        check_then(plan, dev.model_copy(update={"requeue": False}))
