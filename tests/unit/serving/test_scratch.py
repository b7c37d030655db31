"""Uploads leave nothing behind, whatever ends the server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dual_hpc.serving.scratch import scratch_folder

PROGRAM = """
import os, signal, sys
from pathlib import Path
from dual_hpc.serving.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "recording.mp4").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_is_its_users_alone_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "a").write_bytes(b"x")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_server_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)]).returncode == -9
    (left,) = tmp_path.iterdir()
    with scratch_folder(tmp_path) as folder:
        assert [folder] == list(tmp_path.iterdir()) and folder != left


def test_folders_of_servers_that_run_and_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "dual-hpc-serve-link").symlink_to(elsewhere)
    with scratch_folder(tmp_path) as first:
        (first / "recording.mp4").write_bytes(b"x")
        with scratch_folder(tmp_path) as second:
            assert (first / "recording.mp4").exists() and first != second
    assert elsewhere.exists() and (tmp_path / "mine").exists()
