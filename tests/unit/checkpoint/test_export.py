"""Exports appear complete, under a link that is replaced atomically."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.checkpoint import export
from dual_hpc.checkpoint.export import publish
from dual_hpc.errors import EnvironmentFault


def writing(text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / "model").write_text(text)


def test_best_and_last_of_one_step_share_a_folder_and_exports_without_a_link_are_deleted(tmp_path: Path) -> None:
    root = tmp_path / "export"
    for step in (10, 20):
        publish(root, "best", step, writing(f"step {step}"))
    publish(root, "last", 20, writing("step 20"))
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


def test_the_same_files_of_a_step_again_are_left_as_they_are(tmp_path: Path) -> None:
    publish(tmp_path, "best", 10, writing("step 10"))
    before = (tmp_path / "best" / "model").stat()
    publish(tmp_path, "best", 10, writing("step 10"))
    after = (tmp_path / "best" / "model").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("damage", ["changed", "missing", "more"])
def test_other_files_of_a_step_again_replace_them_for_every_name(tmp_path: Path, damage: str) -> None:
    for name in ("best", "last"):
        publish(tmp_path, name, 10, writing("step 10"))
    model = tmp_path / "best" / "model"
    if damage == "changed":
        model.write_text("stap 10")
    elif damage == "missing":
        model.unlink()
    else:
        (tmp_path / "best" / "adapter_config.json").write_text("{}")
    for _ in range(2):
        publish(tmp_path, "best", 10, writing("step 10"))
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["best", "last", "step_00000010.1"]
        for name in ("best", "last"):
            assert [file.read_text() for file in (tmp_path / name).iterdir()] == ["step 10"]


class Killed(BaseException):
    """Simulates kill -9: nothing may catch it."""


def test_a_kill_at_any_call_leaves_every_name_with_a_complete_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = ("mkdir", "rename", "replace", "symlink", "unlink", "rmdir", "open")
    at = 0
    while True:
        at += 1
        root = tmp_path / str(at)
        for name in ("best", "last"):
            publish(root, name, 10, writing("old"))
        left = at

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(export.os, name, counted(getattr(os, name)))
            try:
                publish(root, "best", 10, writing("new"))
            except Killed:
                pass
            else:
                break
        for name in ("best", "last"):
            assert (root / name / "model").read_text() in ("old", "new")
        publish(root, "best", 10, writing("new"))
        assert len(list(root.iterdir())) == 3
        assert {(root / name / "model").read_text() for name in ("best", "last")} == {"new"}
    assert at > 10
