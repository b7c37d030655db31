"""DeepSpeed's files are read only if they are verified, and even then nothing in them is executed."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest
import torch

from dual_hpc.checkpoint.deepspeed_io import VerifiedFiles, write_file
from dual_hpc.checkpoint.manifest import Manifest
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.digest import FileDigest, hash_file
from dual_hpc.heartbeat import beats


class Malice:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


def manifest(**files: FileDigest) -> Manifest:
    return Manifest(step=1, world_size=1, zero_stage=1, precision="fp32", state={}, files=files)


def test_a_file_is_read_only_once_it_is_verified(tmp_path: Path) -> None:
    digest = write_file({"weight": torch.arange(5.0), "step": 3}, tmp_path / "x.pt")
    assert digest == hash_file(tmp_path / "x.pt", "blake3")
    files = VerifiedFiles()
    with pytest.raises(EnvironmentFault, match="not verified"):
        files.load(str(tmp_path / "x.pt"))
    files.allow(tmp_path, manifest(**{"x.pt": digest}))
    loaded = files.load(str(tmp_path / "x.pt"))
    assert loaded["step"] == 3 and torch.equal(loaded["weight"], torch.arange(5.0))


@pytest.mark.parametrize("part", [False, True])
def test_what_an_optimizer_keeps_of_a_file_is_copied(tmp_path: Path, part: bool) -> None:
    content = {"moment": torch.arange(7.0), "other": torch.ones(3), "step": torch.tensor(3.0)}
    files = VerifiedFiles()
    files.allow(tmp_path, manifest(**{"x.pt": write_file(content, tmp_path / "x.pt")}))
    loaded = files.load(str(tmp_path / "x.pt"), mmap=part)
    state = {"moment": loaded.pop("moment"), "step": loaded.pop("step"), "own": torch.zeros(2), "name": "adam"}
    own = state["own"]
    del loaded
    assert "x.pt" in Path("/proc/self/maps").read_text()
    files.copy_mapped([state])
    assert "x.pt" not in Path("/proc/self/maps").read_text()
    assert state["own"] is own and torch.equal(state["moment"], torch.arange(7.0)) and state["step"] == 3


def test_a_file_that_lasts_is_read_with_signs_of_progress_and_told_when_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = write_file({"weight": torch.zeros(1 << 20)}, tmp_path / "x.pt")
    files, before = VerifiedFiles(), beats()
    files.allow(tmp_path, manifest(**{"x.pt": digest}))
    files.load(str(tmp_path / "x.pt"))
    assert beats() - before >= 4

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "readv", broken)
    with pytest.raises(EnvironmentFault, match=r"x\.pt cannot be read: .*Input/output error"):
        files.load(str(tmp_path / "x.pt"))


def test_deepspeed_s_save_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = VerifiedFiles()

    def save(folder: str) -> None:
        files.makedirs(f"{folder}/deepspeed", exist_ok=True)
        files.save({"a": 1}, f"{folder}/deepspeed/a.pt")
        files.save({"b": 2}, f"{folder}/deepspeed/b.pt")

    assert files.capture(save, list) == {"deepspeed/a.pt": ["a"], "deepspeed/b.pt": ["b"]}
    assert files.capture(lambda folder: None, list) == {}
    assert not list(tmp_path.iterdir())


def test_a_pickle_that_would_run_something_is_refused_even_if_verified(tmp_path: Path) -> None:
    torch.save({"weight": Malice(tmp_path / "made")}, tmp_path / "x.pt")
    files = VerifiedFiles()
    files.allow(tmp_path, manifest(**{"x.pt": hash_file(tmp_path / "x.pt")}))
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        files.load(str(tmp_path / "x.pt"))
    assert not (tmp_path / "made").exists()


def test_a_disk_that_is_full_half_way_says_so(tmp_path: Path) -> None:
    """The real thing: the kernel refuses what goes beyond the limit."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, former[1]))
    try:
        with pytest.raises(OSError) as caught:
            write_file({"weight": torch.zeros(1 << 18)}, tmp_path / "x.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert caught.value.errno == errno.EFBIG
    assert write_file({"a": 1}, tmp_path / "x.pt") == hash_file(tmp_path / "x.pt", "blake3")


def test_a_folder_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_file({"a": 1}, tmp_path / "no such folder" / "x.pt")
