"""How a session reports the result of a save, and selects the best weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.errors import EnvironmentFault
from dual_hpc.model.confidence import Confidence
from dual_hpc.training.exporter import Publish
from dual_hpc.training.saving import Saved
from dual_hpc.training.session import Session
from dual_hpc.training.state import TrainingState
from tests.unit.training.fakes import make_run, make_session


class Reporter:
    """Notes kinds and steps of events and warnings."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def metrics(self, step: int, values: dict[str, float]) -> None: ...

    def validation(self, step: int, batches: Any) -> Any:
        return batches

    def event(self, kind: str, step: int, **_: Any) -> None:
        self.events.append((kind, step))

    def warn(self, kind: str, step: int, message: str, **_: Any) -> None:
        self.events.append((kind, step))


class Saver:
    """Its saves end with the given results; it is held to the real one by tests/distributed/test_async_saving.py."""

    def __init__(self, *results: Exception | str | None) -> None:
        self.results = list(results)
        self.step: int | None = None
        self.publish: Publish | None = None
        self.updates: list[tuple[TrainingState, TrainingState]] = []

    @property
    def pending(self) -> bool:
        return self.step is not None

    @property
    def done(self) -> bool:
        return self.pending or self.publish is not None

    def export(self, publish: Publish) -> None:
        assert self.publish is None
        self.publish = publish

    def wait_for_export(self) -> EnvironmentFault | None:
        publish, self.publish = self.publish, None
        assert publish is not None
        return publish()

    def start(self, state: TrainingState) -> None:
        assert self.step is None
        self.step = state.step

    def update(self, state: TrainingState, if_exported: TrainingState) -> None:
        self.step = state.step
        self.updates.append((state.model_copy(deep=True), if_exported))

    def wait(self) -> Saved:
        step, self.step = self.step, None
        assert step is not None
        if isinstance(result := self.results.pop(0), Exception):
            raise result
        return Saved(step, Path(f"step_{step:08d}"), 1.5, result)


def session(tmp_path: Path, *results: Exception | str | None, **parts: Any) -> tuple[Session, list[tuple[str, int]]]:
    """A session at step 3 and the list of its events."""
    reporter, state = Reporter(), TrainingState(step=3)
    made = make_session(
        make_run(tmp_path / "run"), saver=Saver(*results), reporter=reporter, **{"state": state, **parts}
    )
    return made, reporter.events


FULL = EnvironmentFault("checkpoint was not saved (rank 1: No space left on device)")


def test_an_asynchronous_save_is_reported_when_it_is_polled(tmp_path: Path) -> None:
    made, events = session(tmp_path, None)
    made.save(final=False)
    made.state.step = 5
    assert events == []
    made.poll_save()
    assert events == [("checkpoint", 3)] and made.save_seconds == 1.5
    made.poll_save()
    made.finish_save()
    assert len(events) == 1


def test_a_failed_save_is_reported_but_a_failed_final_one_is_raised(tmp_path: Path) -> None:
    made, events = session(tmp_path, FULL, FULL)
    made.save(final=False)
    with pytest.raises(EnvironmentFault, match="No space"):
        made.save(final=True)  # waits for the one before, whose failure is reported, and for its own
    assert events == [("checkpoint_failed", 3)]


def test_the_final_save_and_a_synchronous_one_wait(tmp_path: Path) -> None:
    made, events = session(tmp_path, None, None)
    made.save(final=True)
    assert events == [("checkpoint", 3)]
    made.config.checkpoint.asynchronous = False
    made.state.step = 4
    made.save(final=False)
    assert events == [("checkpoint", 3), ("checkpoint", 4)]


def test_old_checkpoints_that_cannot_be_deleted_are_reported(tmp_path: Path) -> None:
    made, events = session(tmp_path, "old checkpoints cannot be deleted")
    made.save(final=True)
    assert events == [("checkpoint", 3), ("checkpoint_kept", 3)]


def test_a_save_that_fails_because_a_rank_is_gone_does_not_hide_why_the_training_ended(tmp_path: Path) -> None:
    made, events = session(tmp_path, RuntimeError("Connection closed by peer"))
    made.save(final=False)
    made.finish_save()
    assert events == [("checkpoint_failed", 3)]


class Exporter:
    """Fails while `full` is set."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.measured: list[Confidence | None] = []
        self.full = False

    def take(self, name: str, step: int, confidence: Confidence | None = None) -> Publish:
        self.taken.append(step)
        self.measured.append(confidence)
        return lambda: EnvironmentFault("no space") if self.full else None


@pytest.mark.parametrize("asynchronous", [True, False])
def test_weights_that_could_not_be_exported_do_not_become_the_best(tmp_path: Path, asynchronous: bool) -> None:
    exporter = Exporter()
    made, events = session(tmp_path, *[None] * 9, exporter=exporter)
    made.config.checkpoint.asynchronous = asynchronous
    for exporter.full in (True, False):
        made.state.validation_pending = True
        assert made.validate_if_pending(lambda: False)
        made.wait_for_save()
    assert [event for event in events if event[0] != "checkpoint"] == [("export_failed", 3), ("best", 3)]
    assert exporter.taken == [3, 3] and made.state.best_score == made.state.score
    assert made.saved == made.state


def test_the_best_weights_are_exported_with_what_their_validation_says_of_their_confidence(tmp_path: Path) -> None:
    exporter = Exporter()
    made, _ = session(tmp_path, None, None, exporter=exporter)
    made.state.validation_pending = True
    assert made.validate_if_pending(lambda: False)
    (measured,) = exporter.measured
    assert measured is not None and measured.temperature > 0 and measured.count > 0 and measured.subset


def test_the_training_goes_on_while_the_best_weights_are_exported(tmp_path: Path) -> None:
    made, events = session(tmp_path, None, None, exporter=Exporter())
    saver: Any = made.saver
    made.state.validation_pending = True
    assert made.validate_if_pending(lambda: False)
    assert saver.publish and made.state.best_score is None and not made.state.validation_pending
    ((if_not, if_exported),) = saver.updates  # what the checkpoint says depends on the export
    assert (if_not.best_score, if_exported.best_score) == (None, made.state.score)
    made.save_if_due(asked=True)  # of the same step: it has everything
    assert saver.publish and len(saver.updates) == 1
    made.state.step = 4
    made.poll_save()
    assert not saver.publish and made.state.best_score == if_exported.best_score
    assert events == [("best", 3), ("checkpoint", 3)]


@pytest.mark.parametrize("full", [True, False])
def test_a_validation_is_compared_with_the_one_before_whose_export_has_just_ended(tmp_path: Path, full: bool) -> None:
    exporter = Exporter()
    exporter.full = full
    made, _ = session(tmp_path, *[None] * 9, exporter=exporter)
    for made.state.step in (3, 4):  # with the same score
        made.state.validation_pending = True
        made.validate_if_pending(lambda: False)
    assert exporter.taken == ([3, 4] if full else [3])


def test_an_export_is_waited_for_at_the_end_of_the_job(tmp_path: Path) -> None:
    made, events = session(tmp_path, None, None, exporter=Exporter())
    made.state.validation_pending = True
    assert made.validate_if_pending(lambda: False)
    made.finish_save()
    assert ("best", 3) in events and made.state.best_score == made.state.score


def test_a_score_that_is_nan_is_replaced_by_the_next(tmp_path: Path) -> None:
    exporter = Exporter()
    state = TrainingState(step=3, best_score=math.nan)
    made, _ = session(tmp_path, *[None] * 9, exporter=exporter, state=state)
    made.state.validation_pending = True
    assert made.validate_if_pending(lambda: False)
    made.wait_for_save()
    assert exporter.taken == [3] and not math.isnan(made.state.best_score or math.nan)
    made.state.best_score = 2.0
    made.state.validation_pending = True
    made.validate_if_pending(lambda: False)
    assert exporter.taken == [3] and made.state.best_score == 2.0
