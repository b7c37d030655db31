"""Exports appear complete, under a link that is replaced atomically."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.checkpoint.export import publish
from dual_hpc.errors import EnvironmentFault


def writing(text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / "model").write_text(text)


def test_best_and_last_of_one_step_share_a_folder_and_exports_without_a_link_are_deleted(tmp_path: Path) -> None:
    root = tmp_path / "export"
    for step in (10, 20):
        publish(root, "best", step, writing(f"step {step}"))
    publish(root, "last", 20, writing("never written twice"))
    assert sorted(path.name for path in root.iterdir()) == ["best", "last", "step_00000020"]
    assert (root / "best" / "model").read_text() == (root / "last" / "model").read_text() == "step 20"
    publish(root, "best", 30, writing("step 30"))
    assert (root / "best" / "model").read_text() == "step 30"
    assert (root / "last" / "model").read_text() == "step 20"


def test_a_copy_of_a_run_in_which_links_became_folders_can_export(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in ("best", "last"):
        publish(tmp_path / "run", name, 3, writing("step 3"))
    shutil.copytree(tmp_path / "run", copy)
    for name in ("best", "last"):
        assert (copy / name).is_dir() and not (copy / name).is_symlink()
        assert publish(copy, name, 6, writing("step 6")).resolve().name == "step_00000006"
    assert sorted(path.name for path in copy.iterdir()) == ["best", "last", "step_00000006"]


def test_a_failed_export_keeps_the_one_before(tmp_path: Path) -> None:
    publish(tmp_path, "best", 10, writing("step 10"))

    def full(folder: Path) -> None:
        (folder / "model").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(EnvironmentFault, match="No space left on device"):
        publish(tmp_path, "best", 20, full)
    assert (tmp_path / "best" / "model").read_text() == "step 10"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "step_00000010"]
