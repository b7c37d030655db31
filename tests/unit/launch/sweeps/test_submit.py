"""A sweep on this machine: real processes under the real controller, whose ranks do something smaller than training."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from launch.cluster.profiles import load_profile
from launch.cluster.slurm import Scheduler
from launch.runs import submit
from launch.runs.diagnosis import diagnose
from launch.runs.evidence import collect_evidence
from launch.runs.plan import PlannedRun
from launch.sweeps.grid import SweepDir, folder, grid
from launch.sweeps.plan import idle_members, plan_again
from launch.sweeps.results import rows_of
from launch.sweeps.submit import run_locally


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SweepDir, list[PlannedRun]]:
    """Three members."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sweep = SweepDir(folder(tmp_path, "cv"), grid("cv", ["seeds=0..2"]))
    runs = [
        PlannedRun(run.path, load_config("demo", [f"store={tmp_path}", f"name={run.path.name}", *member.overrides]))
        for run, member in zip(sweep.runs(), sweep.sweep.members, strict=True)
    ]
    for plan in runs:
        plan.config.launch.ranks_per_node = 1
    return sweep, runs


def work(waits: bool = False) -> Callable[[str], str]:
    """What a rank does: member 1 fails while there is a file `broken`; with `waits`, all wait to be stopped."""

    def rank(run: str) -> str:
        import os
        import signal
        import sys
        import time
        from pathlib import Path

        from dual_hpc.run.directory import RunDir, Segment

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGUSR2})
        found = RunDir(run)
        found.append_segment(Segment(event="start", job_id=str(os.getppid())))
        if run.endswith("seed-1") and (Path(run).parents[1] / "broken").exists():
            sys.exit(3)
        while waits and not (Path(run) / "stop").exists():
            time.sleep(0.05)
        reason = "stopped" if waits else "finished"
        found.append_segment(Segment(event="end", job_id=str(os.getppid()), reason=reason))
        return reason

    return rank


def states(sweep: SweepDir) -> list[str]:
    return [row.state for row in rows_of(sweep)]


def test_a_failing_member_keeps_no_other_from_its_turn_and_is_resubmitted_alone(
    planned: tuple[SweepDir, list[PlannedRun]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "train_rank", work())
    (tmp_path / "broken").touch()
    sweep, plans = planned
    lines: list[str] = []
    run_locally(sweep, plans, load_profile("local"), 2, lines.append)
    assert [line for line in lines if "started" in line] == [f"cv.seed-{n}: started" for n in range(3)]
    assert [lines.index(f"cv.seed-{n}: started") for n in range(2)] == [0, 1] != lines.index("cv.seed-2: started")
    assert states(sweep)[::2] == ["finished"] * 2 and states(sweep)[1] != "finished"
    for round in range(2):  # it fails again, then it does not
        if round == 1:
            (tmp_path / "broken").unlink()
        ((again, profile),) = plan_again(sweep, idle_members(sweep)[0], [])
        assert [plan.path.name for plan in again] == ["cv.seed-1"]
        run_locally(sweep, again, profile, 1, lines.append)
    assert states(sweep) == ["finished"] * 3 and idle_members(sweep) == ([], [])


def ctrl_c() -> None:
    """Not by SIGINT, which a shell's background job ignores, and this test may run in one."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("interrupt", [ctrl_c, partial(signal.raise_signal, signal.SIGTERM)], ids=["ctrl-c", "sigterm"])
def test_ctrl_c_and_sigterm_let_what_runs_save_and_start_no_more(
    planned: tuple[SweepDir, list[PlannedRun]], monkeypatch: pytest.MonkeyPatch, interrupt: Callable[[], None]
) -> None:
    monkeypatch.setattr(submit, "train_rank", work(waits=True))
    sweep, plans = planned
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if len(lines) == 1:
            deadline = time.monotonic() + 600
            while not sweep.runs()[0].segments() and time.monotonic() < deadline:
                time.sleep(0.05)
            interrupt()

    with pytest.raises(KeyboardInterrupt):
        run_locally(sweep, plans, load_profile("local"), 1, say)
    assert states(sweep) == ["stopped", "not submitted", "not submitted"]
    assert diagnose(collect_evidence(sweep.runs()[0], Scheduler())).sentence == "stopped by Ctrl-C at step 0, and saved"
    assert idle_members(sweep)[0] == [plan.path.name for plan in plans], "all can be taken up again"


def test_a_request_for_many_machines_leaves_nothing_here(
    planned: tuple[SweepDir, list[PlannedRun]], tmp_path: Path
) -> None:
    sweep, plans = planned
    for plan in plans:
        plan.config.launch.nodes = 2
    with pytest.raises(UserError, match=r"launch.nodes=2"):
        run_locally(sweep, plans, load_profile("local"), 1, print)
    assert not (tmp_path / "runs").exists() and not (tmp_path / "sweeps").exists()
