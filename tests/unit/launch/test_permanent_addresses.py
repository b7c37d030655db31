"""Contract 11: what pickles, sbatch files, archives and running controllers of earlier versions name."""

from __future__ import annotations

import importlib
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.run.names import CODE_ARCHIVE
from launch.cluster.code_archive import ROOT
from launch.cluster.profiles import Profile
from launch.cluster.sbatch import on_failure_lines, python_command
from launch.job import train_rank


@pytest.mark.parametrize("module", ["launch.job", "launch.aftermath", "launch.bootstrap", "launch.local"])
def test_the_permanent_addresses_import(module: str) -> None:
    assert importlib.import_module(module).__name__ == module


def test_a_pickled_job_names_train_rank_by_its_permanent_address() -> None:
    names = [argument for _, argument, _ in pickletools.genops(pickle.dumps(train_rank)) if isinstance(argument, str)]
    assert names == ["launch.job", "train_rank"]
    assert pickle.loads(pickle.dumps(train_rank)) is train_rank


def test_what_is_run_by_name_can_be_run_by_name() -> None:
    """`python -m` of an address without arguments fails for want of them, not because there is no such module."""
    for module in ("launch.local", "launch.aftermath"):
        done = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode != 0 and "No module named" not in done.stderr and "takes" in done.stderr


def test_the_batch_script_calls_the_permanent_address(tmp_path: Path) -> None:
    lines = on_failure_lines(python_command("python", tmp_path), tmp_path)
    assert any(f"python {tmp_path / CODE_ARCHIVE} -m launch.aftermath {tmp_path} $code" in line for line in lines)


def test_profiles_written_with_a_description_are_read() -> None:
    assert Profile.model_validate({"description": "a cluster", "max_nodes": 4}).max_nodes == 4
