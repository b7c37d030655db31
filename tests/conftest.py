"""What needs a cluster is skipped with a reason where there is none, except where CI forbids that."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def slurm_is_up() -> bool:
    """True if a controller answers; SLURM_CONF says which (the development cluster exports it)."""
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=60).returncode == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not any(item.get_closest_marker("slurm") for item in items) or slurm_is_up():
        return
    if os.environ.get("DUAL_REQUIRE_SLURM") == "1":
        raise pytest.UsageError("DUAL_REQUIRE_SLURM=1, but no Slurm controller answers; see slurm/devcluster")
    skip = pytest.mark.skip(reason="no Slurm controller answers; start one with slurm/devcluster/up")
    for item in items:
        if item.get_closest_marker("slurm"):
            item.add_marker(skip)
