"""What makes a node unfit is named in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.errors import EnvironmentFault
from launch.job import preflight
from launch.job.preflight import BadNode, affinity, check_node, shared_memory, temporary_folder
from launch.records.failures import Failure, root_cause


def test_a_good_node_passes_and_no_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    check_node(tmp_path, wants_gpu=False, cores=1)
    assert list((tmp_path / "logs").iterdir()) == []


def test_a_store_that_cannot_be_written_is_the_nodes(tmp_path: Path) -> None:
    with pytest.raises(BadNode, match=r"node .*cannot be written"):
        check_node(tmp_path / "not mounted", wants_gpu=False, cores=None)


def test_a_full_store_is_not_a_bad_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(preflight, "STORE_BYTES", 1 << 60)
    with pytest.raises(EnvironmentFault, match="are free") as caught:
        check_node(tmp_path, wants_gpu=False, cores=None)
    assert not isinstance(caught.value, BadNode)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_that_is_used_up_excludes_no_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(file: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFault, match=r"store: .* cannot be written") as caught:
        check_node(tmp_path, wants_gpu=False, cores=None)
    assert not isinstance(caught.value, BadNode)


def test_missing_shared_memory_and_cores_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shared_memory() is None or "MB free" in str(shared_memory())
    monkeypatch.setattr(preflight, "SHARED_MEMORY", 1 << 60)
    assert "/dev/shm has only" in str(shared_memory())
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert "bound to 1 of its 4 cores" in str(affinity(4))
    assert affinity(1) is None and affinity(None) is None


def test_a_full_folder_for_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert temporary_folder({"TMPDIR": str(tmp_path)}) is None
    monkeypatch.setattr(preflight, "TEMPORARY", 1 << 60)
    assert f"{tmp_path}, the folder for temporary files (TMPDIR), has only" in str(
        temporary_folder({"TMPDIR": str(tmp_path)})
    )
    gone = {"TMPDIR": str(tmp_path / "gone"), "TMP": str(tmp_path)}
    assert str(temporary_folder(gone)).startswith(f"{tmp_path}, "), "that of another job, which nobody uses"
    assert str(temporary_folder({})).startswith("/tmp, ")
    (tmp_path / "logs").mkdir()
    with pytest.raises(BadNode, match="folder for temporary files"):
        check_node(tmp_path, wants_gpu=False, cores=None)


def test_a_bad_node_is_the_cause_of_what_its_peers_saw() -> None:
    def failure(rank: int, at: float, **more: Any) -> Failure:
        return Failure(job_id="1", rank=rank, host=f"n{rank}", message="", exit_code=1, log="", time=at, **more)

    cause = root_cause([failure(0, 1.0), failure(1, 2.0, bad_nodes=["n1"]), failure(2, 0.5, killed=True)])
    assert cause is not None and cause.host == "n1"
