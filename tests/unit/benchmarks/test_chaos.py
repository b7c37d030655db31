"""What the chaos run would say if a sample were lost, repeated, or a bit different."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.checkpoint import commit
from dual_hpc.config import load_config
from dual_hpc.files.digest import FileDigest, HashingWriter
from dual_hpc.group import SingleProcess
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import Journal

RANKS = 2


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, which is not part of the installed packages."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    import benchmarks.chaos

    assert benchmarks.chaos.RANKS == RANKS
    return benchmarks.chaos


def run_with(
    folder: Path, steps: list[tuple[int, list[str]]], content: bytes = b"state", loss: float = 0.5, speed: float = 1.0
) -> RunDir:
    """A finished run that executed these steps, half of each step's samples on either rank."""
    run = RunDir.create(folder, load_config("demo", [f"store={folder.parent}"]))

    def write(place: Path) -> dict[str, FileDigest]:
        file = HashingWriter(place / "x.pt")
        file.write(content)
        return {"x.pt": file.finish()}

    commit.save(run.checkpoints, SingleProcess(), write, step=2, zero_stage=1, precision="fp32", state={})
    for name in ("best", "last"):
        (run.exports / name).mkdir(parents=True)
        (run.exports / name / "model.safetensors").write_bytes(b"weights")
    journal = Journal(run.journal)
    journal.metrics(2, {"train/loss": loss, "train/samples_per_second": speed})
    journal.close()
    for rank in range(RANKS):
        lines = [json.dumps({"step": step, "keys": keys[rank::RANKS]}) + "\n" for step, keys in steps]
        (run.path / f"samples-{rank}.jsonl").write_text("".join(lines) + '{"step": 3, "ke')  # torn by a kill
    return run


WHOLE = [(1, ["a", "b"]), (2, ["c", "d"])]


@pytest.fixture
def undisturbed(tmp_path: Path) -> RunDir:
    return run_with(tmp_path / "whole", WHOLE)


def test_a_run_that_repeated_a_step_and_ended_as_the_other_has_lost_nothing(
    chaos: Any, tmp_path: Path, undisturbed: RunDir
) -> None:
    tally = chaos.Tally()
    tally.add(run_with(tmp_path / "killed", [WHOLE[0], *WHOLE], speed=2.0), undisturbed)
    assert (tally.runs, tally.steps, tally.steps_repeated) == (1, 3, 1)
    assert (tally.samples_lost, tally.samples_repeated, tally.bit_equal) == (0, 0, True)


@pytest.mark.parametrize(
    ("spoilt", "lost", "repeated"),
    [
        (lambda folder: run_with(folder, WHOLE[:1]), 2, 0),
        (lambda folder: run_with(folder, [WHOLE[0], (2, ["c", "a"])]), 1, 1),
        (lambda folder: run_with(folder, [(1, ["c", "d"]), (2, ["a", "b"])]), 0, 0),
        (lambda folder: run_with(folder, WHOLE, content=b"other"), 0, 0),
        (lambda folder: run_with(folder, WHOLE, loss=0.25), 0, 0),
    ],
    ids=["a step is missing", "a sample is read twice", "another order", "another state", "another loss"],
)
def test_every_difference_is_told(
    chaos: Any, tmp_path: Path, undisturbed: RunDir, spoilt: Callable[[Path], RunDir], lost: int, repeated: int
) -> None:
    tally = chaos.Tally()
    tally.add(spoilt(tmp_path / "killed"), undisturbed)
    assert (tally.samples_lost, tally.samples_repeated, tally.bit_equal) == (lost, repeated, False)


def test_kills_fall_on_both_ranks_at_moments_steps_and_every_point_of_a_save(chaos: Any) -> None:
    chance = random.Random(0)
    drawn = [chaos.draw(chance, seconds=3.0) for _ in range(300)]
    assert {victim for _, victim, _ in drawn} == set(range(RANKS))
    assert {where for where, _, _ in drawn} == {
        "at any moment",
        "before a step",
        *(f"in a save: {p}" for p in chaos.POINTS),
    }
    assert all(victim == 0 for where, victim, _ in drawn if where.endswith(chaos.POINTS[2:]))


def test_the_report_does_not_hide_a_difference(chaos: Any) -> None:
    facts = {"machine": "m", "command": "c", "commit": "x", "seconds": 1, **vars(chaos.Tally(bit_equal=False))}
    assert "| bit-equal | NO |" in chaos.markdown(facts)
