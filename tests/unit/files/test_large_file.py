"""A file that is written in pieces by another thread, past the page cache or through it: whole, or an error."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
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


def is_direct(file: int) -> bool:
    return bool(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT)


def replace_write(monkeypatch: pytest.MonkeyPatch, write: Callable[[int, Any], int]) -> list[tuple[bool, int]]:
    """Call `write` instead of the system; the list says of each call whether it was direct, and of how many bytes."""
    calls: list[tuple[bool, int]] = []

    def noted(file: int, data: Any) -> int:
        calls.append((is_direct(file), len(data)))
        return write(file, data)

    monkeypatch.setattr(large_file.os, "write", noted)
    return calls


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, len(CONTENT)])
@pytest.mark.parametrize("part", [4096, 10_007, 3 * PIECE])
def test_what_is_written_is_there(tmp_path: Path, size: int, part: int) -> None:
    (tmp_path / "x").write_bytes(CONTENT * 2)  # of which nothing is left
    write(tmp_path / "x", CONTENT[:size], part)
    assert (tmp_path / "x").read_bytes() == CONTENT[:size]


def test_whole_pieces_go_past_the_page_cache_and_the_end_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        os.close(os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT | os.O_DIRECT))
    except OSError:
        pytest.skip("the file system of temporary files has no direct access")
    calls = replace_write(monkeypatch, os.write)
    write(tmp_path / "x")
    assert calls == [(True, PIECE), (True, PIECE), (False, PIECE // 2)]


def test_a_file_system_without_direct_access_writes_back_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control, begun = fcntl.fcntl, []

    def refuse(file: int, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL and flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return control(file, command, flags)

    monkeypatch.setattr(large_file.fcntl, "fcntl", refuse)
    monkeypatch.setattr(large_file, "start_write_back", lambda *place: begun.append(place[1:]))
    write(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT and begun == [(0, PIECE), (PIECE, PIECE)]


def test_a_file_system_that_refuses_a_direct_write_gets_an_ordinary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def refuse(file: int, data: Any) -> int:
        if is_direct(file):
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(file, data)

    calls = replace_write(monkeypatch, refuse)
    write(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert sum(direct for direct, _ in calls) <= 1


@pytest.mark.parametrize("count", [1, 4096, 10_000])
def test_what_a_write_leaves_out_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    real = os.write
    replace_write(monkeypatch, lambda file, data: real(file, data if is_direct(file) else data[:count]))
    write(tmp_path / "x", CONTENT[: PIECE + 20_000])
    assert (tmp_path / "x").read_bytes() == CONTENT[: PIECE + 20_000]


def test_a_direct_write_that_leaves_something_out_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, short = os.write, iter([4096, 512])
    replace_write(monkeypatch, lambda file, data: real(file, data[: next(short, len(data))]))
    write(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT


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
        file.write(memoryview(bytes(PIECE)))
        with pytest.raises(OSError, match="No space"):
            file.write(memoryview(bytes(PIECE)))
    with pytest.raises(OSError, match="No space"):
        file.finish()
    file.close()
    file.close()
