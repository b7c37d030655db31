"""How a session reports the result of a save, and selects the best weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.errors import EnvironmentFault
from dual_hpc.training.saving import Saved
from dual_hpc.training.session import Session
from dual_hpc.training.state import TrainingState
from tests.unit.training.fakes import make_run, make_session


class Reporter:
    """Notes kinds and steps of events and warnings."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def metrics(self, step: int, values: dict[str, float]) -> None: ...

    def validation(self, step: int, batches: int) -> None: ...

    def event(self, kind: str, step: int, **_: Any) -> None:
        self.events.append((kind, step))

    def warn(self, kind: str, step: int, message: str, **_: Any) -> None:
        self.events.append((kind, step))


class Saver:
    """Its saves end with the given results; it is held to the real one by tests/distributed/test_async_saving.py."""

    def __init__(self, *results: Exception | str | None) -> None:
        self.results = list(results)
        self.step: int | None = None

    @property
    def pending(self) -> bool:
        return self.step is not None

    done = pending

    def start(self, state: TrainingState) -> None:
        assert self.step is None
        self.step = state.step

    def update(self, state: TrainingState) -> None:
        self.step = state.step

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
        self.exported: list[int] = []
        self.full = False

    def export(self, name: str, step: int) -> None:
        if self.full:
            raise EnvironmentFault("no space")
        self.exported.append(step)


def test_weights_that_could_not_be_exported_do_not_become_the_best(tmp_path: Path) -> None:
    exporter = Exporter()
    made, events = session(tmp_path, exporter=exporter)
    for exporter.full in (True, False):
        made.state.validation_pending = True
        assert made.validate_if_pending(lambda: False)
    assert events == [("export_failed", 3), ("best", 3)]
    assert exporter.exported == [3] and made.state.best_score == made.state.score


def test_a_score_that_is_nan_is_replaced_by_the_next(tmp_path: Path) -> None:
    exporter = Exporter()
    made, _ = session(tmp_path, exporter=exporter, state=TrainingState(step=3, best_score=math.nan))
    made.state.validation_pending = True
    assert made.validate_if_pending(lambda: False)
    assert exporter.exported == [3] and not math.isnan(made.state.best_score or math.nan)
    made.state.best_score = 2.0
    made.state.validation_pending = True
    made.validate_if_pending(lambda: False)
    assert exporter.exported == [3] and made.state.best_score == 2.0
