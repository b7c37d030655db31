"""The examples run as their reader would run them: one after the other, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
Run = Callable[..., str]


def run_example(where: Path, *words: object) -> str:
    """Standard output of `python EXAMPLE ...` in the folder `where`, or of `python -c PROGRAM`."""
    python_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": python_path, "DUAL_STORE": str(where / "store"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with clips/clips.csv, as `make_clips.py` writes it."""
    where = tmp_path_factory.mktemp("examples")
    assert run_example(where, EXAMPLES / "make_clips.py", "clips", "--utterances", 28).strip() == "clips/clips.csv"
    return where


@pytest.fixture(scope="session")
def packed(workspace: Path) -> tuple[Path, str]:
    """The folder with shards/clips, as `pack_my_csv.py` writes them, and what it printed."""
    return workspace, run_example(workspace, EXAMPLES / "pack_my_csv.py", "clips/clips.csv", "shards/clips")
