"""What `dual-hpc doctor` reports of a store, the packages and the profiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch.cluster import client
from launch.cluster.code_archive import ROOT
from launch.cluster.profiles import profile_names
from launch.doctor import device, gpu_of_profiles, private, profiles, slurm, space, writable
from launch.doctor import torch as torch_finding
from tests.unit.launch.job.pretended_gpu import Node
from tests.unit.other_user import STRANGER, needs_root


def test_a_store_that_does_not_exist_is_checked_and_not_made(tmp_path: Path) -> None:
    store = tmp_path / "scratch" / "store"
    finding = writable(store)
    assert (finding.state, finding.found) == ("ok", f"{store} can be made")
    assert space(store).state in ("ok", "missing") and list(tmp_path.iterdir()) == []


def test_a_store_that_is_there_is_left_as_it_was(tmp_path: Path) -> None:
    assert (writable(tmp_path).state, writable(tmp_path).found) == ("ok", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_a_store_and_the_remedy_names_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.touch()
    for store in (file, file / "below"):
        finding = writable(store)
        assert finding.state == "missing" and "DUAL_STORE" in finding.remedy


def test_packages_of_the_same_names_from_elsewhere_are_found(tmp_path: Path) -> None:
    """A robot's `launch`, say, that PYTHONPATH puts first."""
    for name in ("shards", "slurm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    program = "from launch.doctor import own_packages; f = own_packages(); print(f.state, f.found, f.remedy, sep='\\n')"
    for path, state in (([ROOT], "ok"), ([tmp_path, ROOT], "missing")):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=tmp_path / "shards", capture_output=True, text=True
        )
        found = done.stdout.splitlines()
        assert found[0] == state, done.stderr
    assert f"shards is imported from {tmp_path / 'shards'}, slurm is imported from {tmp_path / 'slurm'}" == found[1]
    assert "virtual environment" in found[2]


def test_every_profile_is_listed_with_its_description() -> None:
    finding = profiles()
    assert [line.split(": ")[0] for line in finding.found.splitlines()] == profile_names()
    assert "jean-zay-h100: Jean Zay (IDRIS), H100, four per node" in finding.found


def test_a_store_that_others_can_write_is_told(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert private(store).state == "ok" and not store.exists()
    (store / "runs" / "mine").mkdir(parents=True)
    assert (private(store).state, private(store).found) == ("ok", "nobody else")
    (store / "runs").chmod(0o777)
    finding = private(store)
    assert finding.state == "missing" and finding.remedy.startswith(f"chmod o-w {store / 'runs'}")
    (store / "runs").chmod(0o1777)
    assert private(store).state == "note"
    (store / "runs").chmod(0o755)
    (store / "runs" / "mine").chmod(0o777)
    finding = private(store)
    assert (finding.state, finding.found) == ("note", f"{store / 'runs' / 'mine'} can be written by everybody")
    assert "--trust" in finding.remedy


@needs_root
def test_a_store_of_a_project_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    os.chown(tmp_path / "runs", 0, STRANGER)
    (tmp_path / "runs").chmod(0o2775)
    before = os.getgroups()
    os.setgroups([*before, STRANGER])
    try:
        finding = private(tmp_path)
    finally:
        os.setgroups(before)
    assert (finding.state, finding.found) == (
        "note",
        f"{tmp_path / 'runs'} can be written by the group {STRANGER}",
    )


def test_slurm_is_asked_as_everywhere_foreign_lines_and_a_silent_controller_are_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / name).chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SINFO_FORMAT", "%P")
    program("sbatch", "exit 1")
    rows = (
        'form="${@: -1}"; form="${form#--format=}"; for p in main gpu; do r="${form/\\%P/$p}"; echo "${r/\\%D/4}"; done'
    )
    program("sinfo", f"echo CLUSTER: jz; echo; echo 'maintenance | on | Monday'; {rows}")
    assert slurm().found.startswith("partitions (nodes): main (4), gpu (4); sacct ")
    program("sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    assert slurm().state == "note" and "Unable to contact" in slurm().found
    monkeypatch.setattr(client, "CALL_SECONDS", 0.2)
    program("sinfo", "exec sleep 60")
    assert slurm().state == "note" and "took more than" in slurm().found


@pytest.fixture
def gpu_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    return Node(monkeypatch, tmp_path)


def test_a_gpu_that_fits_is_told_with_its_driver_and_build(gpu_node: Node) -> None:
    found = device()
    assert (found.state, found.remedy) == ("ok", "")
    assert found.found == "4 x NVIDIA H100, sm_90, driver 580.65.06; its build of torch: TORCH=cu130"
    assert "for CUDA 13.0 (sm_75 sm_80 sm_86 sm_90 sm_100 sm_120)" in torch_finding().found


def test_a_gpu_that_torch_cannot_use_is_told_with_the_build_that_can(gpu_node: Node) -> None:
    gpu_node.torch("2.13.0+cpu", None)
    gpu_node.gpus(0)
    found = device()
    assert found.state == "missing" and "4 GPU(s) that torch cannot use: torch 2.13.0+cpu is a build for" in found.found
    assert found.remedy == "make setup TORCH=cu130"
    gpu_node.nvidia_smi("Tesla V100, 7.0, 535.104")
    gpu_node.torch("2.13.0+cu130", "13.0")
    assert device().remedy == "make setup TORCH=cu126" and "needs NVIDIA driver 580" in device().found
    gpu_node.nvidia_smi("Tesla V100, 7.0, 470.57")
    assert device().remedy == "a newer driver"


def test_the_architectures_of_torch_are_held_against_those_of_the_profiles(gpu_node: Node) -> None:
    found = gpu_of_profiles(None)
    assert found.state == "note" and found.found == "this torch runs on jean-zay-a100 (sm_80), jean-zay-h100 (sm_90)"
    assert found.remedy == "jean-zay-v100 (sm_70): make setup TORCH=cu126"
    assert gpu_of_profiles("jean-zay-v100").state == "missing"
    assert gpu_of_profiles("jean-zay-h100").state == "ok" and gpu_of_profiles("dev").state == "ok"
