"""Large files are flushed in pieces, each a sign of progress; an error of the disk is never lost."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dual_hpc.files import flush
from dual_hpc.heartbeat import beats


def test_each_piece_of_a_large_file_is_a_sign_of_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flush, "PIECE", 4096)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(bytes(10 * 4096))
    before = beats()
    flush.flush_tree(tmp_path)
    assert beats() - before == 10


def test_a_disk_that_fails_in_a_piece_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(3))

    class Library:
        @staticmethod
        def sync_file_range(*_: object) -> int:
            flush.ctypes.set_errno(errno.EIO)
            return -1

    monkeypatch.setattr(flush, "PIECE", 1)
    monkeypatch.setattr(flush.ctypes, "CDLL", lambda *_, **__: Library)
    with open(file, "rb") as opened, pytest.raises(OSError, match="Input/output error"):
        flush.flush_file(opened.fileno())


def test_a_piece_that_the_disk_has_is_dropped_from_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, dropped = tmp_path / "file", []
    file.write_bytes(bytes(2 * 4096))
    monkeypatch.setattr(flush.os, "posix_fadvise", lambda file, *what: dropped.append(what))
    with open(file, "rb+") as opened:
        flush.end_write_back(opened.fileno(), 0, 4096)
    assert dropped == [(0, 4096, flush.os.POSIX_FADV_DONTNEED)] and file.read_bytes() == bytes(2 * 4096)
