"""The archive's own __main__: before the work listens, a wish to stop waits."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from launch import bootstrap

# What a rank does: first it is deaf, then submitit installs handlers that must never run, then the work listens.
RANK = """
import os, signal
os.kill(os.getpid(), signal.SIGUSR2)
signal.signal(signal.SIGUSR2, lambda number, frame: os._exit(7))
from dual_hpc.training.stopping import stop_signals
with stop_signals() as flag:
    print(flag.reason)
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("__main__.py", Path(bootstrap.__file__).read_bytes())
    return path


def test_a_node_folder_is_made_where_there_is_a_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "gone"))
    monkeypatch.setenv("JOBSCRATCH", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert bootstrap.node_folder() == str(tmp_path / f"dual-hpc-{os.getuid()}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    assert bootstrap.node_folder() == f"/tmp/dual-hpc-{os.getuid()}"
    assert not (tmp_path / "gone").exists()


def test_a_signal_of_the_first_moments_is_neither_lost_nor_deadly(archive: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(archive.parent), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, archive, "-c", RANK], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "SIGUSR2\n"), done.stderr
