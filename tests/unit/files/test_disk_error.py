"""A write that fails says which file it was, whoever writes it."""

from __future__ import annotations

import errno
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.disk_error import naming
from launch.cluster.code_archive import write_archive
from launch.cluster.executor import PatientExecutor
from shards.lock import Lock


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that takes no more than so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _lock(path: Path) -> None:
    with Lock(path):
        pass


def _archive(path: Path) -> None:
    tree = path.parent / "tree"  # of no repository, in which git would begin to write
    (tree / "launch").mkdir(parents=True, exist_ok=True)
    (tree / "launch" / "bootstrap.py").touch()
    write_archive(path.parent, tree)


@pytest.mark.parametrize(
    "write",
    [lambda path: write_atomically(path, "x" * 100), _lock, _archive],
    ids=["atomically", "lock", "archive"],
)
def test_a_file_that_cannot_be_written_is_named(write: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "code.zip"
    with pytest.raises(OSError) as caught, files_of_at_most(0):
        write(path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    write(path)


def test_a_lock_that_names_half_of_its_owner_is_not_held(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), files_of_at_most(5):
        _lock(tmp_path / "a.lock")
    _lock(tmp_path / "a.lock")


def test_a_batch_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    executor = PatientExecutor(tmp_path, sys.executable, 1.0)
    with pytest.raises(OSError) as caught, files_of_at_most(0):
        executor._submit_command("true")
    assert Path(caught.value.filename).parent == tmp_path


def test_an_error_that_names_a_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, naming(tmp_path / "a"):
        (tmp_path / "b").read_bytes()
    assert caught.value.filename == str(tmp_path / "b")
