"""How a session takes the end of a save, and steps that were not finite; the saver is a fake, held to the real one by
tests/distributed/test_async_saving.py."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dual_hpc.config import validate
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.training.saving import Progress, Saved
from dual_hpc.training.session import Session
from dual_hpc.training.step import StepReport


class Reporter:
    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []

    def event(self, kind: str, step: int, **_: Any) -> None:
        self.said.append((kind, step))

    def warn(self, kind: str, step: int, message: str, **_: Any) -> None:
        self.said.append((kind, step))


class Saver:
    """Ends every save as it is told to."""

    def __init__(self, *ends: Exception | None, back: int | None = None) -> None:
        self.ends, self.back = list(ends), back
        self.step: int | None = None
        self.asked_back: int | None = None

    @property
    def under_way(self) -> bool:
        return self.step is not None

    landed = under_way

    def begin(self, progress: Progress) -> None:
        assert self.step is None
        self.step = progress.step

    def finish(self) -> Saved:
        step, self.step = self.step, None
        assert step is not None
        if (end := self.ends.pop(0)) is not None:
            raise end
        return Saved(step, Path(f"step_{step:08d}"), 1.5)

    def roll_back(self, up_to: int) -> int | None:
        assert not self.under_way
        self.asked_back = up_to
        return self.back


def session(tmp_path: Path, saver: Saver, **sections: Any) -> Any:
    made: Any = Session.__new__(Session)
    made.config, made.world = validate(sections), SimpleNamespace(rank=0, size=1)
    made.progress, made.reporter, made._saver, made._reports = Progress(step=3), Reporter(), saver, tmp_path
    made.save_seconds = 0.0
    return made


def test_a_score_that_is_no_number_is_not_the_best_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, scores = session(tmp_path, Saver()), iter([math.nan, 0.3, math.nan, 0.3, 0.4])
    made.engine, made._validation, made._data = SimpleNamespace(deepspeed=None), None, SimpleNamespace(labels=[])
    made.reporter.metrics = lambda step, values: None
    exported: list[int] = []
    made.export = lambda name: exported.append(made.progress.step)
    monkeypatch.setattr("dual_hpc.training.session.validate", lambda *_: {"val/av/ua": next(scores)})
    for step in range(1, 6):
        made.progress.step = step
        assert made.validate(lambda: False)
    assert exported == [1, 2, 5] and (made.progress.best_step, made.progress.best_score) == (5, 0.4)


FULL = EnvironmentFault("checkpoint was not saved (rank 1: No space left on device)")


def test_a_save_goes_on_until_it_is_looked_for(tmp_path: Path) -> None:
    made = session(tmp_path, Saver(None))
    made.save(last_chance=False)
    made.progress.step = 5
    assert made.reporter.said == [] and not made.wants_save()
    made.watch_save()
    assert made.reporter.said == [("checkpoint", 3)] and made.save_seconds == 1.5
    made.watch_save()
    made.end_save()
    assert len(made.reporter.said) == 1


def test_a_failure_is_survived_and_the_last_one_is_not(tmp_path: Path) -> None:
    made = session(tmp_path, Saver(FULL, FULL))
    made.save(last_chance=False)
    with pytest.raises(EnvironmentFault, match="No space"):
        made.save(last_chance=True)  # waits for the one before, whose failure is told, and for its own
    assert made.reporter.said == [("checkpoint_failed", 3)]


def test_the_last_save_waits_even_if_others_do_not(tmp_path: Path) -> None:
    made = session(tmp_path, Saver(None))
    made.save(last_chance=True)
    assert made.reporter.said == [("checkpoint", 3)]
    made = session(tmp_path, Saver(None), checkpoint={"asynchronous": False})
    made.save(last_chance=False)
    assert made.reporter.said == [("checkpoint", 3)]


def test_a_lost_peer_s_save_does_not_hide_why_the_training_ended(tmp_path: Path) -> None:
    made = session(tmp_path, Saver(RuntimeError("Connection closed by peer")))
    made.save(last_chance=False)
    made.end_save()
    assert made.reporter.said == [("checkpoint_failed", 3)]


def step(made: Any, number: int, healthy: bool) -> None:
    made.progress.step = number
    suspects = [] if healthy else [f"k{number}"]
    made.care(StepReport({}, 1.0, healthy, healthy, False, False, 0, suspects))


def test_a_row_of_sick_steps_is_left_behind_once(tmp_path: Path) -> None:
    saver = Saver(back=3)
    made = session(tmp_path, saver, training={"on_non_finite": "rollback", "non_finite_limit": 2})
    for number, healthy in ((4, False), (5, True), (6, False)):
        step(made, number, healthy)
    assert made.progress.sick == {6: ["k6"]} and made.progress.rolled_back is None
    step(made, 7, False)
    assert saver.asked_back == 5  # the last step before the row
    assert made.progress.sick == {} and made.progress.rolled_back == 3 and made.progress.step == 7
    step(made, 8, False)
    with pytest.raises(UserError, match="went back to step 3"):
        step(made, 9, False)
    assert json.loads((tmp_path / "non_finite-9.json").read_text()) == {"steps": {"8": ["k8"], "9": ["k9"]}}
    assert [kind for kind, _ in made.reporter.said].count("rollback") == 1


def test_a_row_without_a_checkpoint_before_it_ends_the_run(tmp_path: Path) -> None:
    made = session(tmp_path, Saver(back=None), training={"on_non_finite": "rollback", "non_finite_limit": 1})
    with pytest.raises(UserError, match="no checkpoint from before step 4"):
        step(made, 4, False)
    assert (tmp_path / "non_finite-4.json").exists()
