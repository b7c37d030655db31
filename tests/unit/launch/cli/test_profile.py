"""`dual-hpc profile`: what it refuses; tests/unit/training/test_profiling.py has what a rank does that is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.run.names import PROFILE_FILE
from launch.cli.main import main
from tests.unit.training.fakes import make_run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ranks", "all"], "--ranks all: numbers"),
        (["--steps", "0"], "--steps 0: must be 1 to 1000"),
        ([], "no job of a runs"),
    ],
)
def test_it_asks_nothing_of_a_run_that_does_not_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    run = make_run(tmp_path / "runs" / "a")
    assert main(["profile", str(run.path), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (run.path / PROFILE_FILE).exists()
