"""What another user of this machine can do, tried as one."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STRANGER = 12_345  # a user id without a name

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


def as_other_user(work: Callable[[], object]) -> str:
    """What `work` returns, as text, in a child process of the user `STRANGER`; its traceback where it fails."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            said = str(work())
        except BaseException:
            said = traceback.format_exc()
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can look into, which those of pytest are not; what is run there must be imported."""
    folder = Path(tempfile.mkdtemp(prefix="dual-open-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)
