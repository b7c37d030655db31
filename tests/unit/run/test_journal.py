"""The journal under kills, repeats and odd values."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.errors import EnvironmentFault
from dual_hpc.run.journal import Journal, points, read, replay

values = st.dictionaries(st.text(min_size=1, max_size=8), st.floats(allow_nan=True), max_size=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@given(lines=st.lists(st.tuples(st.integers(0, 99), values), max_size=8))
def test_what_is_written_is_read_back_and_the_last_writer_of_a_step_wins(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, dict[str, float]]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    expected: dict[str, dict[int, float]] = {}
    with Journal(path) as journal:
        for step, metrics in lines:
            journal.metrics(step, metrics)
            for key, value in metrics.items():
                expected.setdefault(key, {})[step] = value
    found = replay(read(path))
    assert found.keys() == expected.keys()
    for key, curve in expected.items():
        assert list(found[key]) == sorted(curve)
        for step, value in curve.items():
            assert found[key][step] == value or (math.isnan(value) and math.isnan(found[key][step]))


@given(cut=st.integers(0, 200), after=st.booleans())
def test_a_line_torn_anywhere_costs_only_itself(
    tmp_path_factory: pytest.TempPathFactory, cut: int, after: bool
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path) as journal:
        for step in range(4):
            journal.metrics(step, {"loss": step / 2})
    whole = path.read_bytes()
    cut = min(cut, len(whole))
    path.write_bytes(whole[:cut])
    # A line that lacks only its newline is not read until the next writer has ended it.
    ends = [n for n, byte in enumerate(whole) if byte == ord("\n")]
    expected = {step: step / 2 for step, end in enumerate(ends) if end + (not after) <= cut}
    if after:
        with Journal(path) as journal:
            journal.metrics(9, {"loss": 9.0})
        expected[9] = 9.0
    assert replay(read(path)).get("loss", {}) == expected


def test_reading_continues_after_the_last_complete_line(path: Path) -> None:
    with Journal(path) as journal:
        journal.metrics(1, {"loss": 1.0})
        first = read(path)
        with open(path, "ab") as file:
            file.write(b'{"t":1,"step":2,"metr')
        assert [entry.step for entry in read(path)] == [1]
        path.write_bytes(path.read_bytes()[: first[-1].end])
        journal.metrics(2, {"loss": 0.5})
    assert [entry.step for entry in read(path, first[-1].end)] == [2]


def test_steps_repeated_with_equal_values_leave_one_point_and_changed_ones_two(path: Path) -> None:
    with Journal(path) as journal:
        journal.metrics(1, {"loss": 3.0}, time_ms=10)
        journal.metrics(2, {"loss": float("nan")}, time_ms=20)
        journal.event("resumed", step=0)
        journal.metrics(1, {"loss": 3.0}, time_ms=30)
        journal.metrics(2, {"loss": float("nan")}, time_ms=40)
        journal.metrics(1, {"loss": 2.0}, time_ms=50)
    found = points(read(path))
    assert [(point.step, point.time_ms) for point in found] == [(1, 10), (2, 20), (1, 50)]
    assert replay(read(path))["loss"][1] == 2.0


def test_a_changed_value_is_the_later_one_although_the_clock_went_back(path: Path) -> None:
    with Journal(path) as journal:
        for value, time_ms in ((3.0, 5000), (2.0, 40), (2.0, 6000), (1.0, 5000)):
            journal.metrics(1, {"loss": value}, time_ms=time_ms)
        journal.metrics(2, {"loss": 0.5}, time_ms=50)
    found = points(read(path))
    assert [(p.step, p.value, p.time_ms) for p in found] == [
        (1, 3.0, 5000),
        (1, 2.0, 5001),
        (1, 1.0, 5002),
        (2, 0.5, 50),
    ]


def test_events_carry_their_fields(path: Path) -> None:
    with Journal(path) as journal:
        journal.event("checkpoint", step=7, name="step_00000007", best=True)
    (entry,) = read(path)
    assert (entry.event, entry.step, entry.fields) == ("checkpoint", 7, {"name": "step_00000007", "best": True})


def test_two_writers_never_mix_their_lines(path: Path) -> None:
    with Journal(path) as one, Journal(path) as other:
        for step in range(50):
            (one if step % 2 else other).metrics(step, {"x" * 300: float(step)})
    assert [entry.step for entry in read(path)] == list(range(50))


def test_a_line_of_someone_else_is_left_out(path: Path) -> None:
    path.write_bytes(
        b'\n{}\n[1]\nnull\n\xff\xfe\n{"t":1,"step":1,"metrics":{"a":"x"}}\n{"t":1,"step":1,"metrics":{"a":1}}\n'
    )
    with open(path, "ab") as file:
        file.write(b'{"t":1,"step":2,"metrics":{"a":1' + b"0" * 400 + b"}}\n" + b"[" * 100_000 + b"\n")
    assert replay(read(path)) == {"a": {1: 1.0}}


@given(
    record=st.fixed_dictionaries(
        {
            "t": st.integers() | st.floats() | st.none(),
            "step": st.integers() | st.floats() | st.text() | st.booleans() | st.lists(st.none()),
            "metrics": st.dictionaries(st.text(), st.floats() | st.integers() | st.text() | st.none(), max_size=2),
        }
    )
)
def test_whatever_a_line_says_a_point_has_a_time_and_a_step_that_mlflow_takes(
    tmp_path_factory: pytest.TempPathFactory, record: object
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    path.write_text(json.dumps(record) + "\n")
    for point in points(read(path)):
        assert type(point.step) is type(point.time_ms) is int and type(point.value) is float
        assert 0 <= point.step < 2**63 and 0 <= point.time_ms < 2**63


def test_a_missing_journal_is_empty(path: Path) -> None:
    assert read(path) == []


def test_a_folder_that_does_not_exist_is_the_environments_fault(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        Journal(tmp_path / "no" / "journal.jsonl")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_lines_wait_until_a_full_disk_has_room_again(path: Path) -> None:
    journal = Journal(path)
    real, full = os.dup(journal._file), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    for step in (1, 2):
        journal.metrics(step, {"a": step})
        assert journal.failure == "No space left on device"
    os.dup2(real, journal._file)
    journal.metrics(3, {"a": 3})
    assert journal.failure is None
    assert replay(read(path)) == {"a": {1: 1, 2: 2, 3: 3}}
    os.dup2(full, journal._file)
    journal.metrics(4, {"a": 4})
    with pytest.raises(EnvironmentFault, match="has lost its last lines: No space left"):
        journal.close()
    journal.close()
    for file in (real, full):
        os.close(file)


@given(room=st.lists(st.integers(1, 60), max_size=6))
def test_a_disk_that_takes_parts_of_lines_tears_none(tmp_path_factory: pytest.TempPathFactory, room: list[int]) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write = os.write

    def scant(file: int, data: bytes) -> int:
        if not room:
            return write(file, data)
        if (some := room.pop()) % 3 == 0:
            raise OSError(28, "No space left on device")
        return write(file, data[:some])

    with pytest.MonkeyPatch.context() as patch, Journal(path) as journal:
        patch.setattr(os, "write", scant)
        for step in range(9):
            journal.metrics(step, {"a": step})
    assert replay(read(path)) == {"a": {step: step for step in range(9)}}
    assert path.read_bytes().count(b"\n") == 9
