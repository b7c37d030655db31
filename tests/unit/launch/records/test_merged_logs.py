"""The logs of all ranks as one: in the order of time, no line lost, no rank's lines in another order."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from launch.cli.logs import added
from launch.cli.main import main
from launch.records.merged_logs import Log, merged, time_in
from tests.unit.training.fakes import make_run


def stamp(second: int) -> str:
    return f"2026-11-27 09:00:{second:02}"


def test_lines_come_in_the_order_of_their_times_with_those_that_follow_them() -> None:
    logs = {
        0: Log([f"beginning at {stamp(0)}", "imports", f"step 1 {stamp(20)}", f"step 2 {stamp(40)}"], 0.0),
        1: Log([f"beginning at {stamp(5)}", f"[{stamp(30)},250] warning", "its second line"], 0.0),
    }
    assert [(rank, line.split()[0]) for rank, line in merged(logs)] == [
        (0, "beginning"), (0, "imports"), (1, "beginning"), (0, "step"), (1, "[2026-11-27"), (1, "its"), (0, "step"),
    ]  # fmt: skip


def test_the_trace_of_the_rank_that_failed_first_comes_first() -> None:
    begin = time_in(stamp(0))
    assert begin is not None
    trace = ["Traceback (most recent call last):", "  File", "ValueError: bad"]
    logs = {0: Log([f"beginning {stamp(0)}", *trace], begin + 30), 1: Log([f"beginning {stamp(1)}", *trace], begin + 9)}
    assert [rank for rank, _ in merged(logs)] == [0, 1, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("seed", range(20))
def test_every_line_is_there_once_in_its_ranks_order(seed: int) -> None:
    rng = random.Random(seed)
    logs = {}
    for rank in range(rng.randint(1, 5)):
        words = [
            f"{rank}-{n}" + rng.choice(("", "", f" {stamp(rng.randint(0, 59))}")) for n in range(rng.randint(0, 30))
        ]
        logs[rank] = Log(words, rng.uniform(0, 2e9))
    found = merged(logs)
    for rank, log in logs.items():
        assert [line for of, line in found if of == rank] == list(log.lines)


def test_impossible_times_are_no_times() -> None:
    assert time_in("2026-13-45 99:99:99") is None and time_in("step 4") is None
    assert time_in("9999-12-31 23:59:59") is not None


def test_the_verb_prints_all_ranks_with_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "runs" / "a")
    assert main(["logs", str(run.path), "--rank", "all"]) == 2
    for rank in (0, 1, 10):
        (run.logs / f"rank_{rank:04d}.log").write_text(f"beginning: rank {rank} at {stamp(30 - rank)}\n")
    capsys.readouterr()
    assert main(["logs", str(run.path), "--rank", "all"]) == 0
    assert [line[:2] for line in capsys.readouterr().out.splitlines()] == ["10", " 1", " 0"]
    assert main(["logs", str(run.path), "--rank", "all", "-n", "1"]) == 0
    assert capsys.readouterr().out.startswith(" 0")
    assert main(["logs", str(run.path), "--rank", "some"]) == 2


def test_only_whole_lines_of_a_growing_log_are_taken(tmp_path: Path) -> None:
    path, sizes = tmp_path / "log", {0: 0}
    path.write_bytes(b"one\ntw")
    assert added(path, sizes, 0) == ["one"]
    with path.open("ab") as file:
        file.write(b"o\n")
    assert added(path, sizes, 0) == ["two"] and added(path, sizes, 0) == []
    os.truncate(path, 0)
    path.write_bytes(b"new\n")
    assert added(path, sizes, 0) == ["new"]
