"""A file that is written in pieces: whole, or an error."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.files import large_file
from dual_hpc.files.large_file import LargeFileWriter

PIECE = 1 << 16
CONTENT = os.urandom(5 * PIECE // 2)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_file, "PIECE", PIECE)


def write(path: Path, content: bytes = CONTENT, part: int = 10_007) -> None:
    file = LargeFileWriter(path)
    try:
        for start in range(0, len(content), part):
            file.write(memoryview(content[start : start + part]))
        file.finish()
    finally:
        file.close()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, len(CONTENT)])
@pytest.mark.parametrize("part", [4096, 10_007, 3 * PIECE])
def test_what_is_written_is_there(tmp_path: Path, size: int, part: int) -> None:
    (tmp_path / "x").write_bytes(CONTENT * 2)  # of which nothing is left
    write(tmp_path / "x", CONTENT[:size], part)
    assert (tmp_path / "x").read_bytes() == CONTENT[:size]


def test_the_disk_gets_each_piece_at_once_and_at_most_two_are_on_their_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int, int]] = []
    for name in ("start_write_back", "end_write_back"):
        monkeypatch.setattr(large_file, name, lambda file, *place, name=name: calls.append((name, *place)))
    write(tmp_path / "x", CONTENT * 2)
    starts = [offset for name, offset, _ in calls if name == "start_write_back"]
    assert starts == [0, PIECE, 2 * PIECE, 3 * PIECE, 4 * PIECE] and {count for *_, count in calls} == {PIECE}
    assert [calls.index(("end_write_back", n * PIECE, PIECE)) for n in range(3)] == [3, 5, 7]


@pytest.mark.parametrize("count", [1, 4096, 10_000])
def test_what_a_write_leaves_out_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    real = os.write
    monkeypatch.setattr(large_file.os, "write", lambda file, data: real(file, data[:count]))
    write(tmp_path / "x", CONTENT[: PIECE + 20_000])
    assert (tmp_path / "x").read_bytes() == CONTENT[: PIECE + 20_000]


@pytest.mark.parametrize("name", ["start_write_back", "end_write_back", "flush_file"])
def test_an_error_that_the_disk_tells_later_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(large_file, name, fail)
    with pytest.raises(OSError, match="Input/output error"):
        write(tmp_path / "x", CONTENT * 2)


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_an_error_of_any_piece_is_raised_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, number: int
) -> None:
    real, calls = os.write, 0

    def fail(file: int, data: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(number, os.strerror(number))
        return real(file, data)

    monkeypatch.setattr(large_file.os, "write", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        write(tmp_path / "x")


def test_after_an_error_nothing_more_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = LargeFileWriter(tmp_path / "x")
    with monkeypatch.context() as patched:
        patched.setattr(large_file.os, "write", full)
        with pytest.raises(OSError, match="No space"):
            file.write(memoryview(bytes(PIECE)))
    for act in (lambda: file.write(memoryview(bytes(PIECE))), file.finish):
        with pytest.raises(OSError, match="No space"):
            act()
    file.close()
    file.close()
