"""A run that is given more epochs, finished or not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config import first_change, immutable_settings, is_prolonged, load_config, mutable_changes
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.training.loop import FINISHED, run_session
from dual_hpc.training.stop_requests import StopRequests
from dual_hpc.training.stopping import StopFlag
from launch.cluster.profiles import load_profile
from launch.cluster.state import State
from launch.records import submissions
from launch.runs.archived_settings import refuse_unknown_settings
from launch.runs.plan import PlannedRun, plan_resumption, plan_run
from launch.runs.prolong import prolongs, reopen
from launch.runs.state import RunRecords, run_state
from launch.runs.submit import require_no_active_job
from tests.unit.training.fakes import Loader, Watchdog, make_run, make_session

PEAK = 0.1  # of the fake engine


def trained(run: RunDir) -> dict[str, list[float]]:
    """The next job of a run, to its end: the weights."""
    session: Any = make_session(run, Loader())
    watchdog: Any = Watchdog()
    assert run_session(session, StopRequests(StopFlag(), run.path, 0, {}, margin=60), watchdog) == FINISHED
    weights: dict[str, list[float]] = session.engine.weights()
    return weights


def submitted(run: RunDir) -> RunDir:
    profile = load_profile("local")
    entry = submissions.Entry(event="submit", job_id="7", request=run.config().launch, profile=profile)
    submissions.record(run.path, entry)
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return submitted(make_run(tmp_path / "runs" / "mine"))


def rates(run: RunDir) -> list[float]:
    return [value / PEAK for _, value in sorted(replay(read(run.journal))["train/lr"].items())]


def test_a_finished_run_goes_on_at_the_final_learning_rate(run: RunDir, tmp_path: Path) -> None:
    trained(run)
    planned = rates(run)
    assert run.has_finished()
    plan, _ = plan_resumption(run, ["training.epochs=4"])
    assert prolongs(plan) and plan.config.optim.decay_steps == 6
    require_no_active_job([run.path], may_be_finished=True)
    run.take_settings(plan.config)
    reopen(run)
    assert not run.has_finished() and run.config() == plan.config
    assert run_state(RunRecords(run.segments(), submissions.read(run.path))) is State.SUBMITTED
    longer = trained(run)
    assert run.has_finished()
    assert rates(run)[:6] == planned and rates(run)[6:] == pytest.approx([run.config().optim.final_lr_fraction] * 6)
    at_once = make_run(tmp_path / "runs" / "other", "training.epochs=4", "optim.decay_steps=6")
    assert trained(at_once) == longer  # bit for bit


def test_a_run_can_be_made_longer_twice(run: RunDir) -> None:
    trained(run)
    for epochs in (4, 5):
        plan, _ = plan_resumption(run, [f"training.epochs={epochs}"])
        run.take_settings(plan.config)
        reopen(run)
        trained(run)
    assert run.config().optim.decay_steps == 6 and len(rates(run)) == 15
    assert rates(run)[6:] == pytest.approx([0.05] * 9)


def test_a_run_that_has_not_begun_is_simply_planned_longer(run: RunDir) -> None:
    plan, _ = plan_resumption(run, ["training.epochs=4"])
    assert plan.config.training.epochs == 4 and plan.config.optim.decay_steps is None
    plan.open().take_settings(plan.config)
    assert run.config() == plan.config
    trained(run)
    assert len(rates(run)) == 12 and run.has_finished()


def test_a_finished_run_that_is_not_made_longer_stays_finished(run: RunDir) -> None:
    trained(run)
    plan, _ = plan_resumption(run, ["launch.hours=3", "training.epochs=2"])
    assert not prolongs(plan)
    with pytest.raises(UserError, match=r"is finished: .*training\.epochs=N` makes it longer"):
        require_no_active_job([run.path], may_be_finished=prolongs(plan))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epochs=1", "training.epochs=1: a run can be made longer, not shorter"),
        ("training.max_steps=3", "training.max_steps=3: a run can be made longer, not shorter"),
        ("optim.decay_steps=3", "optim.decay_steps=3: a run continues with its own configuration"),
        ("optim.lr=3", "optim.lr=3: a run continues with its own configuration"),
    ],
)
def test_anything_else_that_decides_the_result_is_refused(run: RunDir, override: str, said: str) -> None:
    trained(run)
    for plan in (lambda: plan_resumption(run, [override]), lambda: plan_run(None, str(run.path), [override])):
        with pytest.raises(UserError) as caught:
            plan()
        assert said in str(caught.value)


def test_a_limit_that_still_ends_the_run_is_named(tmp_path: Path) -> None:
    run = submitted(make_run(tmp_path / "runs" / "mine", "training.max_steps=4"))
    session = make_session(run)
    session.reporter.start(0, 4, samples=12)
    with pytest.raises(UserError, match=r"training\.max_steps=4 still ends mine at step 4; raise it as well"):
        plan_resumption(run, ["training.epochs=9"])
    assert plan_resumption(run, ["training.epochs=9", "training.max_steps=9"])[0].config.optim.decay_steps == 4


def test_code_that_would_not_keep_the_schedule_is_refused(run: RunDir, tmp_path: Path) -> None:
    trained(run)
    plan, _ = plan_resumption(run, ["training.epochs=4"])
    config = tmp_path / "dual_hpc" / "config"
    config.mkdir(parents=True)
    (config / "schema.py").write_text("class A:\n    epochs: int = 3\n")
    shutil.make_archive(str(run.path / "code"), "zip", tmp_path, "dual_hpc")
    with pytest.raises(UserError, match=r"optim\.decay_steps: the code .* add --new-code"):
        refuse_unknown_settings(run, plan.config)


def test_the_same_command_with_more_epochs_says_how(run: RunDir) -> None:
    wanted = run.config().model_copy(deep=True)
    wanted.training.epochs = 5
    with pytest.raises(
        UserError, match=r"epochs=2, not 5\); `dual-hpc resume mine training\.epochs=5` makes it longer"
    ):
        PlannedRun(run.path, wanted).open()


def test_a_checkpoint_of_before_belongs_to_the_longer_run() -> None:
    before = load_config("demo", ["training.epochs=4"])
    after = load_config("demo", ["training.epochs=9", "optim.decay_steps=40"])
    assert first_change(immutable_settings(before), after) is None
    assert first_change(immutable_settings(after), before) is not None
    assert first_change(immutable_settings(before), load_config("demo", ["training.epochs=4", "optim.decay_steps=9"]))
    assert first_change(immutable_settings(before), load_config("demo", ["training.epochs=9", "optim.lr=9"]))
    assert mutable_changes(before, after) == {"training": {"epochs": 9}, "optim": {"decay_steps": 40}}
    assert not is_prolonged(after, before) and not is_prolonged(before, before)
    assert mutable_changes(before, load_config("demo", ["training.epochs=9", "optim.lr=1"])) == {}
