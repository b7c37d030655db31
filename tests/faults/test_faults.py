"""Whatever call the disk fails at, every record is there or reported, and the next job or the same command goes on.

A shim between the process and the C library (`shim.c`) counts the calls below a folder, those of worker processes
included, and lets one of them fail: no space, no quota, an error of the device, or a short write. `make faults` tries
every call.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EVERY, KINDS = os.environ.get("FAULTS_EVERY", "23"), os.environ.get("FAULTS_KINDS", "one")


def with_faults(root: Path, module: str, every: str) -> list[dict[str, Any]]:
    """What a module that is run with the shim says of each case."""
    if shutil.which("gcc") is None:
        pytest.skip("the shim needs gcc")
    library, source = root / "shim.so", Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", str(source), "-o", str(library), "-ldl"], check=True)
    command = [sys.executable, "-m", module, str(library), str(root), every, KINDS]
    (shared := root / "shared").touch()
    environ = {**os.environ, "LD_PRELOAD": str(library), "FAULTS_SHARED": str(shared), "OMP_NUM_THREADS": "1"}
    environ["XDG_STATE_HOME"] = str(root / "state")
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of each life; the first is undisturbed."""
    return with_faults(tmp_path_factory.mktemp("faults"), "tests.faults.life", EVERY)


def test_the_shim_sees_the_calls_of_python_torch_and_safetensors(lives: list[dict[str, Any]]) -> None:
    whole, *others = lives
    assert whole["problems"] == [] and whole["error"] is None and whole["calls"] > 150
    struck = [one for one in others if one.get("failed")]
    assert len(struck) == len(others) > 0


def test_records_are_there_or_reported_and_the_next_job_goes_on(lives: list[dict[str, Any]]) -> None:
    bad = [one for one in lives if one["problems"]]
    assert not bad, json.dumps(bad[:5], indent=1)
    print(f"{len(lives) - 1} lives, {sum(one['error'] is not None for one in lives)} ended with an error")


def test_what_ends_a_job_names_what_could_not_be_written(lives: list[dict[str, Any]]) -> None:
    for one in lives:
        if one["error"] is not None:
            assert any(word in one["error"] for word in ("/", "checkpoint of step", "weights of step")), one


def test_a_sync_with_mlflow_that_the_disk_interrupts_is_made_whole_by_the_next(tmp_path: Path) -> None:
    every = os.environ.get("FAULTS_EVERY", "120")
    cases = with_faults(tmp_path, "tests.faults.tracking", every)
    assert [one["error"] for one in cases if "at" not in one] == [None, None], "undisturbed"
    assert len(cases) > 4 and any(one["error"] for one in cases)
    bad = [one for one in cases if one["problems"]]
    assert not bad, json.dumps(bad[:5], indent=1)


@pytest.mark.parametrize(
    ("command", "every", "least"), [("packing", "9", 50), ("extraction", "17", 40), ("evaluation", "5", 10)]
)
def test_a_command_that_the_disk_interrupts_says_so_and_is_finished_by_the_same_command(
    command: str, every: str, least: int, tmp_path: Path
) -> None:
    whole, *others = with_faults(tmp_path, f"tests.faults.{command}", os.environ.get("FAULTS_EVERY", every))
    assert whole["problems"] == [] and whole["error"] is None and whole["calls"] >= least
    assert any(one["error"] for one in others)
    bad = [one for one in others if one["problems"]]
    assert not bad, json.dumps(bad[:5], indent=1)
    print(f"{command}: {len(others)} cases, {sum(one['error'] is not None for one in others)} ended with an error")
