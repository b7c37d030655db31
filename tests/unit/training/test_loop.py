"""The training loop: what it does in which order, and what is saved when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.checkpoint import select
from dual_hpc.checkpoint.manifest import load
from dual_hpc.data.decoding.decoder_counts import PYAV
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.run.names import step_folder
from dual_hpc.run.phases import PHASES
from dual_hpc.training.loop import FAILED, FINISHED, STOPPED, run_session
from dual_hpc.training.phase_times import HostCuts, PhaseTimes
from dual_hpc.training.stop_requests import StopRequests
from dual_hpc.training.stopping import StopFlag
from tests.unit.training.fakes import Loader, ValidationLoader, Watchdog, make_run, make_session

STEPS = 6


class Job:
    """One job: its session, its stop flag, and how it ended."""

    def __init__(self, run: RunDir, loader: Loader | None = None, environ: dict[str, str] | None = None, **parts: Any):
        self.flag = StopFlag()
        self.session = make_session(run, loader, **parts)
        self.engine: Any = self.session.engine
        self.loader: Any = self.session.loader
        self.validation_loader: Any = self.session.validation_loader
        self.stop = StopRequests(self.flag, run.path, 0, environ or {}, margin=60)
        self.watchdog: Any = Watchdog()

    def signal(self) -> None:
        self.flag.reason = "SIGTERM"

    def train(self) -> str:
        return run_session(self.session, self.stop, self.watchdog)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return make_run(tmp_path / "run")


@pytest.fixture
def undisturbed(tmp_path: Path) -> Job:
    """The job of a run that finished in one."""
    job = Job(make_run(tmp_path / "undisturbed"))
    assert job.train() == FINISHED
    return job


def saved_state(run: RunDir, step: int) -> dict[str, Any]:
    return load(run.checkpoints / step_folder(step)).state


def events(run: RunDir, kind: str) -> list[tuple[int | None, Any]]:
    return [(entry.step, dict(entry.fields)) for entry in read(run.journal) if entry.event == kind]


def validated(run: RunDir) -> list[int | None]:
    return [entry.step for entry in read(run.journal) if "val/av/ua" in entry.metrics]


def test_a_run_trains_all_steps_saves_the_last_and_exports_it(run: RunDir) -> None:
    job = Job(run)
    assert job.train() == FINISHED
    assert list(replay(read(run.journal))["train/loss"]) == [1, 2, 3, 4, 5, 6]
    assert validated(run) == [3, 6]  # at the end of every epoch
    assert select.steps(run.checkpoints) == [2, 3, 4, 6]  # every second, and those that are validated
    for step in (3, 6):
        assert saved_state(run, step)["owes_validation"] is False and saved_state(run, step)["score"] is not None
    last = torch.load(run.exports / "last" / "weights.pt")
    assert {name: value.flatten().tolist() for name, value in last.items()} == job.engine.weights()
    assert (run.exports / "best").is_dir() and [step for step, _ in events(run, "end")] == [STEPS]
    assert run.segments()[-1].reason == FINISHED
    assert job.loader.closed and job.validation_loader.closed


def test_the_watchdog_is_restarted_before_every_step_and_after_it(run: RunDir) -> None:
    job = Job(run)
    job.train()
    assert job.watchdog.calls == [*(["stepping", "waiting"] * STEPS), "waiting", "close"]


def test_a_stop_in_the_middle_of_an_epoch_saves_that_step_and_the_next_job_ends_bit_equal(
    run: RunDir, undisturbed: Job
) -> None:
    loader = Loader()
    job = Job(run, loader)
    loader.before[5] = job.signal
    assert job.train() == STOPPED
    assert select.steps(run.checkpoints) == [2, 3, 4, 5] and events(run, "stop") == [(5, {"reason": "SIGTERM"})]
    assert not (run.exports / "last").exists() and run.segments()[-1].reason == STOPPED

    job = Job(run)
    assert job.session.state.step == 5 and job.train() == FINISHED
    assert job.engine.weights() == undisturbed.engine.weights()
    assert job.session.state == undisturbed.session.state


def test_a_stop_during_a_validation_leaves_it_pending_and_the_next_job_does_it_first(
    run: RunDir, undisturbed: Job
) -> None:
    validation = ValidationLoader()
    job = Job(run, validation_loader=validation)
    validation.between = job.signal
    assert job.train() == STOPPED
    assert saved_state(run, 3)["owes_validation"] is True and validated(run) == []
    assert not run.exports.exists()

    job = Job(run)
    assert job.session.state.validation_pending and job.train() == FINISHED
    assert validated(run) == [3, 6]
    entries = [entry.metrics for entry in read(run.journal) if (entry.step or 0) >= 3]
    first = [metrics for metrics in entries if {"train/loss", "val/av/ua"} & metrics.keys()][:3]
    assert ["val/av/ua" in metrics for metrics in first] == [False, True, False]  # step 3, its validation, 4
    assert job.session.state == undisturbed.session.state


def test_the_deadline_does_not_interrupt_a_pending_validation_but_a_signal_does(run: RunDir) -> None:
    validation = ValidationLoader()
    job = Job(run, validation_loader=validation)
    validation.between = job.signal
    job.train()

    validation = ValidationLoader()
    job = Job(run, validation_loader=validation)
    validation.between = job.signal
    assert job.train() == STOPPED
    assert select.steps(run.checkpoints) == [2, 3] and events(run, "stop")[-1] == (3, {"reason": "SIGTERM"})
    assert job.loader.step == 3  # no further step

    job = Job(run, environ={"DUAL_END_TIME": str(time.time() - 1)})
    assert job.train() == STOPPED
    assert validated(run) == [3]
    assert select.steps(run.checkpoints) == [2, 3, 4]  # one step: every job makes progress
    assert events(run, "stop")[-1] == (4, {"reason": "deadline"})


def test_a_save_is_due_by_the_clock(tmp_path: Path) -> None:
    rarely = ("checkpoint.every_steps=100", "training.validate_every=100")
    run = make_run(tmp_path / "run", *rarely, "checkpoint.every_minutes=4")
    now = [0.0]

    def minute() -> None:
        now[0] += 60

    job = Job(run, Loader({step: minute for step in range(1, STEPS + 1)}), clock=lambda: now[0])
    assert job.train() == FINISHED
    assert select.steps(run.checkpoints) == [5, 6]  # more than four minutes after the start, and at the end


def test_the_stop_requests_know_how_long_the_last_save_took(run: RunDir) -> None:
    job = Job(run, save_seconds=7.5)
    job.session.config.checkpoint.asynchronous = False
    seen: list[float] = []
    job.loader.before = {step: lambda: seen.append(job.stop.save_seconds) for step in (1, 6)}
    job.train()
    assert seen[0] == 7.5 and 0 < seen[1] < 7.5


def test_a_step_that_is_not_finite_changes_no_weights_and_the_due_save_is_made_after_the_next(run: RunDir) -> None:
    job = Job(run, Loader(non_finite=(2,)))
    weights: list[dict[str, list[float]]] = []
    job.loader.before = {step: lambda: weights.append(job.engine.weights()) for step in (2, 3, 4)}
    assert job.train() == FINISHED
    assert weights[0] == weights[1] != weights[2]
    assert select.steps(run.checkpoints) == [3, 4, 6]
    assert events(run, "non_finite")[0][1]["samples"] == ["k2_0", "k2_1", "k2_2", "k2_3"]
    assert saved_state(run, 3)["sick"] == {} and saved_state(run, 3)["skipped"] == 1


def test_the_last_step_is_saved_even_if_it_is_not_finite(run: RunDir) -> None:
    assert Job(run, Loader(non_finite=(6,))).train() == FINISHED
    assert saved_state(run, 6)["sick"] == {"6": ["k6_0", "k6_1", "k6_2", "k6_3"]}


def test_too_many_non_finite_steps_end_the_run_with_an_error_and_a_report(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "training.non_finite_limit=2")
    with pytest.raises(UserError, match=r"not finite in 2 steps in a row; samples: k4_0"):
        Job(run, Loader(non_finite=(4, 5))).train()
    assert select.steps(run.checkpoints) == [2, 3]
    assert (run.reports / "non_finite-5.json").exists() and run.segments()[-1].reason == FAILED


def test_too_many_non_finite_steps_restore_the_weights_of_the_checkpoint_before_them(tmp_path: Path) -> None:
    limits = ("training.non_finite_limit=2", "training.on_non_finite=rollback", "training.epochs=3")
    run = make_run(tmp_path / "run", *limits)
    job = Job(run, Loader(non_finite=(6, 7)))
    weights: dict[int, dict[str, list[float]]] = {}

    def note() -> None:
        weights[job.session.state.step] = job.engine.weights()

    job.loader.before = {step: note for step in (5, 6, 8)}
    assert job.train() == FINISHED
    assert [(step, fields["to"]) for step, fields in events(run, "rollback")] == [(7, 4)]
    assert (
        weights[4] == weights[7] != weights[5]
    )  # after steps 4, 7 and 5: step 5 was finite, but is not in a checkpoint
    assert job.session.state.step == 9 and saved_state(run, 9)["rolled_back"] == 4


def test_an_error_is_noted_and_waits_for_the_pending_save(run: RunDir) -> None:
    def fail() -> None:
        raise EnvironmentFault("the disk is gone")

    job = Job(run, Loader({3: fail}))
    with pytest.raises(EnvironmentFault, match="the disk is gone"):
        job.train()
    assert select.steps(run.checkpoints) == [2] and [step for step, _ in events(run, "checkpoint")] == [2]
    assert run.segments()[-1].reason == FAILED and job.watchdog.calls[-2:] == ["waiting", "close"]


def test_more_bad_samples_than_the_limit_end_the_run_and_fewer_are_remembered(run: RunDir) -> None:
    loader = Loader()
    loader.before = {2: lambda: loader.bad_samples.merge(["a"])}
    assert Job(run, loader).train() == FINISHED
    assert saved_state(run, 2)["bad_samples"] == [{"key": "a"}] and [s for s, _ in events(run, "bad_samples")] == [2]
    loader = Loader()
    loader.before = {2: lambda: loader.bad_samples.merge(["a", "b", "c"])}
    with pytest.raises(UserError, match="bad_sample_limit"):
        Job(make_run(run.path.parent / "other"), loader).train()


def test_where_the_time_goes_is_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(PhaseTimes, "on", lambda device: PhaseTimes(HostCuts(lambda: now[0])))

    def pass_time(seconds: float) -> Callable[[], None]:
        return lambda: now.__setitem__(0, now[0] + seconds)

    run = make_run(tmp_path / "timed", "data.workers=0")
    job = Job(run, Loader({step: pass_time(3) for step in (1, 3, 4, 5)}), validation_loader=ValidationLoader())
    job.validation_loader.between = pass_time(1)
    finish, start = job.engine.finish_step, job.session.saver.start

    def slow_update(apply: bool) -> bool:
        pass_time(1)()
        return bool(finish(apply))

    def slow_save(state: Any) -> None:
        pass_time(2)()
        start(state)

    job.engine.finish_step, job.session.saver.start = slow_update, slow_save  # type: ignore[method-assign]
    assert job.train() == FINISHED
    curves = replay(read(run.journal))
    shares = {phase: [curves[f"train/{phase}"][step] for step in range(1, STEPS + 1)] for phase in PHASES}
    # Of step n and of what came after step n - 1: saves of steps 2, 3 (then validated) and 4.
    assert shares["data_wait"] == pytest.approx([3 / 4, 0, 3 / 6, 3 / 7, 3 / 6, 0])
    assert shares["optimizer"] == pytest.approx([1 / 4, 1, 1 / 6, 1 / 7, 1 / 6, 1])
    assert shares["save_stall"] == pytest.approx([0, 0, 2 / 6, 2 / 7, 2 / 6, 0])
    assert shares["validation"] == pytest.approx([0, 0, 0, 1 / 7, 0, 0])
    assert not any(shares["forward"] + shares["backward"] + shares["rank_wait"])
    assert not any(key.startswith("ranks/") for key in curves)  # a single rank is its own median


def test_slow_data_are_told_once_and_again_no_more_when_they_come_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(PhaseTimes, "on", lambda device: PhaseTimes(HostCuts(lambda: now[0])))
    run = make_run(tmp_path / "slow", "data.workers=0", "training.epochs=17", "training.validate_every=100")
    job = Job(run, Loader({step: lambda: now.__setitem__(0, now[0] + 3) for step in range(1, 31)}))
    finish = job.engine.finish_step

    def update(apply: bool) -> bool:
        now[0] += 1
        return bool(finish(apply))

    job.engine.finish_step = update
    assert job.train() == FINISHED
    told = events(run, "bottleneck")
    assert [(step, fields["cause"]) for step, fields in told] == [(21, "input"), (46, "none")]
    assert told[0][1]["message"].startswith("input-bound: 75% of the step waits for data; raise data.workers (0 of ")


def test_how_many_videos_each_decoder_has_decoded_stands_at_the_end_of_the_job(run: RunDir) -> None:
    job = Job(run)
    job.loader.before = {step: lambda: job.loader.decoders.add({PYAV: 15}) for step in (2, 4)}
    assert job.train() == FINISHED
    assert [fields["decoders"] for _, fields in events(run, "end")] == [{PYAV: 30}]
