"""For all tests: one seed, no deadlines, and a reason where a cluster is missing (which CI forbids)."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys

import hypothesis
import numpy
import pytest

from tests.where import choose_device, only_gpu

# A busy machine is slow, not wrong; and nobody's change must fail by another draw than the last one's. DUAL_EXPLORE=1
# draws again, which is how new cases are found.
hypothesis.settings.register_profile("dual", deadline=None, derandomize=os.environ.get("DUAL_EXPLORE") != "1")
hypothesis.settings.load_profile("dual")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same random state, whatever ran before it."""
    random.seed(0)
    numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def pytest_configure(config: pytest.Config) -> None:
    """Choose where this process computes, before any test imports torch or triton."""
    choose_device(config.option.markexpr)


def slurm_is_up() -> bool:
    """True if a controller answers; SLURM_CONF says which (the development cluster exports it)."""
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=60).returncode == 0


@pytest.hookimpl(tryfirst=True)  # before a test's own reason, which this process cannot know
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not only_gpu(item.config.option.markexpr):
        pytest.skip("on a GPU, in a process of its own: pytest -m gpu")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not any(item.get_closest_marker("slurm") for item in items) or slurm_is_up():
        return
    if os.environ.get("DUAL_REQUIRE_SLURM") == "1":
        raise pytest.UsageError("DUAL_REQUIRE_SLURM=1, but no Slurm controller answers; see slurm/devcluster")
    skip = pytest.mark.skip(reason="no Slurm controller answers; start one with slurm/devcluster/up")
    for item in items:
        if item.get_closest_marker("slurm"):
            item.add_marker(skip)
