"""File locks: who has one, who waits, and what happens where there are none."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dual_hpc.files.locks import LocksUnsupported, LockTimeout, file_lock, read_owner, try_lock

_HOLD = """
import sys
from pathlib import Path
from dual_hpc.files.locks import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(path: Path) -> Iterator[int]:
    """Another process that holds the lock; its pid."""
    command = [sys.executable, "-c", _HOLD, os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        yield process.pid
        process.communicate()


def is_free(path: Path, shared: bool = False) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return try_lock(descriptor, path, shared=shared)
    finally:
        os.close(descriptor)


def test_a_lock_that_is_kept_too_long_names_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        other_process(path) as pid,
        pytest.raises(LockTimeout, match=f"process {pid} on .* has kept the lock for 0 s"),
        file_lock(path, 0.2),
    ):
        pass
    with file_lock(path, 0.2):  # free again
        assert not is_free(path)
    assert is_free(path)


def test_a_killed_process_frees_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with other_process(path) as pid:
        os.kill(pid, 9)
        with file_lock(path, 10):
            pass


def test_a_folder_is_locked_and_left_as_it_is(tmp_path: Path) -> None:
    with other_process(tmp_path), pytest.raises(LockTimeout, match="another process"), file_lock(tmp_path, 0):
        pass
    assert not list(tmp_path.iterdir())


def test_readers_do_not_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with open(tmp_path / "lock") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert is_free(tmp_path / "lock", shared=True) and not is_free(tmp_path / "lock")


@pytest.mark.parametrize("content", [b"", b"\xff not json", b"[1]", b'{"host": 3, "pid": "x"}'])
def test_a_damaged_lock_file_names_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    with open(tmp_path / "lock") as file:
        owner = read_owner(file.fileno())
    assert str(owner) == "another process" and not owner.is_remote


def test_a_file_system_without_locks_is_the_callers_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", unsupported)
    with pytest.raises(LocksUnsupported, match="the file system cannot lock files"), file_lock(tmp_path / "lock"):
        pass
    reached = False
    with file_lock(tmp_path / "lock", required=False):
        reached = True
    assert reached
    with pytest.raises(OSError, match="of the body"), file_lock(tmp_path / "lock", required=False):
        raise OSError("of the body")
