"""The judge of the night: what it must notice, and that a seed says what happens."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from tests.night.events import EVENTS
from tests.night.night import schedule
from tests.night.verdict import journal_violations, violations


def test_a_seed_draws_the_same_events_and_every_kind_as_often() -> None:
    drawn = schedule(random.Random(3), 30)
    assert drawn == schedule(random.Random(3), 30) != schedule(random.Random(4), 30)
    assert {kind: drawn.count(kind) for kind in EVENTS} == dict.fromkeys(EVENTS, 2)


@pytest.mark.parametrize(
    ("steps", "found"), [((1, 2, 3, 2, 3, 4), 0), ((1, 2, 4), 1), ((1, 2, 3), 1), ((1, 2, 3, 4, 5), 1)]
)
def test_a_step_that_the_journal_lacks_or_has_too_many_is_noticed(
    steps: tuple[int, ...], found: int, tmp_path: Path
) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        for number, step in enumerate(steps):
            journal.metrics(step, {"train/loss": float(number)})
    assert len(list(journal_violations(tmp_path / "journal.jsonl", 4))) == found
    with open(tmp_path / "journal.jsonl", "a") as file:
        file.write('{"t": 1, "st\n')
    assert len(list(journal_violations(tmp_path / "journal.jsonl", 4))) == found + 1


def test_a_run_that_went_on_before_where_it_saved_is_noticed_and_one_that_did_not_finish(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "runs" / "a", load_config("demo", [f"store={tmp_path}"]))
    assert list(violations(run, "failed", 4, "")) == ["`dual-hpc runs` calls it failed"]
    run.journal.touch()
    (run.exports / "last").mkdir(parents=True)
    (run.exports / "last" / "model.safetensors").write_bytes(b"weights")
    for event, step, reason in (("start", 0, None), ("end", 3, "stopped"), ("start", 2, None), ("end", 4, "finished")):
        run.append_segment(Segment.model_validate({"event": event, "job_id": "1", "step": step, "reason": reason}))
    noticed = violations(run, "finished", 0, "")
    assert next(noticed) == "it saved at step 3 and went on after step 2"
    assert next(noticed) == "its weights differ from those of the undisturbed run"
