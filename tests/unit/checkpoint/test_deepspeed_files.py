"""DeepSpeed's files are read when the manifest proves them, and even then nothing in them is executed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from dual_hpc.checkpoint.deepspeed_files import ProvenFiles
from dual_hpc.checkpoint.manifest import Manifest
from dual_hpc.checkpoint.proof import FileProof, prove
from dual_hpc.errors import EnvironmentFault


class Malice:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


def manifest(**files: FileProof) -> Manifest:
    return Manifest(step=1, world_size=1, zero_stage=1, precision="fp32", state={}, files=files)


def test_what_was_saved_comes_back_once_it_is_proven(tmp_path: Path) -> None:
    files = ProvenFiles()
    files.save({"weight": torch.arange(5.0), "step": 3}, str(tmp_path / "x.pt"))
    proofs = files.collect(tmp_path)
    assert proofs == {"x.pt": prove(tmp_path / "x.pt")}
    with pytest.raises(EnvironmentFault, match="not proven"):
        files.load(str(tmp_path / "x.pt"))
    files.believe(tmp_path, manifest(**proofs))
    loaded = files.load(str(tmp_path / "x.pt"))
    assert loaded["step"] == 3 and torch.equal(loaded["weight"], torch.arange(5.0))


def test_a_pickle_that_would_run_something_is_refused_even_if_proven(tmp_path: Path) -> None:
    torch.save({"weight": Malice(tmp_path / "made")}, tmp_path / "x.pt")
    files = ProvenFiles()
    files.believe(tmp_path, manifest(**{"x.pt": prove(tmp_path / "x.pt")}))
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        files.load(str(tmp_path / "x.pt"))
    assert not (tmp_path / "made").exists()


def test_a_failed_write_is_told_when_the_files_are_collected_and_forgotten_then(tmp_path: Path) -> None:
    files = ProvenFiles()
    files.save({"a": 1}, str(tmp_path / "no such folder" / "x.pt"))
    with pytest.raises(OSError):
        files.collect(tmp_path)
    files.save({"a": 1}, str(tmp_path / "x.pt"))
    assert list(files.collect(tmp_path)) == ["x.pt"]
