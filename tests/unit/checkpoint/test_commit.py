"""The commit protocol with threads as ranks: stopped anywhere, a checkpoint is complete or absent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from benchmarks.scaling.ranks import ThreadGroup
from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.manifest import load
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.digest import FileDigest, HashingWriter
from dual_hpc.group import SingleProcess

T = TypeVar("T")
POINTS = ("made", "written", "manifest", "renamed")


class Killed(BaseException):
    """Simulates kill -9: nothing may catch it."""


def together(size: int, act: Callable[[ThreadGroup], T]) -> list[T | BaseException]:
    slots, barrier = [None] * size, threading.Barrier(size)
    answers: list[Any] = [None] * size

    def rank(number: int) -> None:
        try:
            answers[number] = act(ThreadGroup(number, slots, barrier))
        except BaseException as error:
            answers[number] = error

    threads = [threading.Thread(target=rank, args=(n,)) for n in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def writer(rank: int, content: bytes) -> commit.Writer:
    def write(folder: Path) -> dict[str, FileDigest]:
        (folder / "deepspeed").mkdir(exist_ok=True)
        file = HashingWriter(folder / "deepspeed" / f"rank{rank}.pt")
        file.write(content)
        return {f"deepspeed/rank{rank}.pt": file.finish()}

    return write


def save(root: Path, step: int, group: Any, content: bytes | None = None) -> Path:
    write = writer(group.rank, content or f"{step} {group.rank}".encode())
    return commit.save(root, group, write, step=step, zero_stage=1, precision="fp32", state={"step": step})


def test_what_three_ranks_save_is_verified_and_selected(tmp_path: Path) -> None:
    for step in (3, 12):
        assert together(3, partial(save, tmp_path, step)) == [tmp_path / f"step_{step:08d}"] * 3
    manifest = load(tmp_path / "step_00000012")
    assert manifest.world_size == 3 and sorted(manifest.files) == [f"deepspeed/rank{n}.pt" for n in range(3)]
    choices = together(3, lambda group: select.latest_verified(tmp_path, group))
    assert [choice.manifest.step for choice in choices] == [12] * 3


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_leaves_complete_checkpoints_only(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 3, SingleProcess())

    def die(where: str) -> None:
        if where == point:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(commit, "failpoint", die)
        with pytest.raises(Killed):
            save(tmp_path, 6, SingleProcess())
    assert all(not select.verify(tmp_path / f"step_{step:08d}") for step in select.steps(tmp_path))
    choice = select.latest_verified(tmp_path, SingleProcess())
    assert choice is not None and not choice.rejected
    assert choice.manifest.step == (6 if point == "renamed" else 3)

    commit.remove_unfinished(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))
    save(tmp_path, 6, SingleProcess())
    assert select.latest_verified(tmp_path, SingleProcess()).manifest.step == 6


def test_a_rank_that_cannot_write_abandons_the_checkpoint_on_all(tmp_path: Path) -> None:
    save(tmp_path, 3, SingleProcess())

    def act(group: ThreadGroup) -> Path:
        def full(folder: Path) -> dict[str, FileDigest]:
            raise OSError(28, "No space left on device")

        write = full if group.rank == 1 else writer(group.rank, b"x")
        return commit.save(tmp_path, group, write, step=6, zero_stage=1, precision="fp32", state={})

    for answer in together(3, act):
        assert isinstance(answer, EnvironmentFault) and "rank 1: No space left on device" in str(answer)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000003"]


def test_the_same_step_saved_again_replaces_a_damaged_one(tmp_path: Path) -> None:
    folder = save(tmp_path, 3, SingleProcess(), b"first")
    (folder / "deepspeed" / "rank0.pt").write_bytes(b"flaws")
    assert select.verify(folder)
    save(tmp_path, 3, SingleProcess(), b"second")
    assert not select.verify(folder)


@pytest.mark.parametrize("foreign", ["file", "link to a folder", "link to nowhere"])
def test_a_foreign_entry_with_the_name_of_a_checkpoint_is_replaced_and_the_target_of_a_link_is_kept(
    tmp_path: Path, foreign: str
) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    save(away, 6, SingleProcess())
    root.mkdir()
    there = root / "step_00000006"
    if foreign == "file":
        there.write_text("x")
    else:
        there.symlink_to(away / ("step_00000006" if foreign == "link to a folder" else "gone"))
    assert not select.verify(save(root, 6, SingleProcess()))
    assert not there.is_symlink() and not list(root.glob("*.tmp"))
    assert not select.verify(away / "step_00000006")


def test_of_a_link_only_the_name_is_removed(tmp_path: Path) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    save(away, 6, SingleProcess())
    root.mkdir()
    for name in ("step_00000006", "step_00000006.abc.tmp"):
        (root / name).symlink_to(away / "step_00000006")
    commit.remove(root / "step_00000006")
    commit.remove_unfinished(root)
    assert not list(root.iterdir()) and not select.verify(away / "step_00000006")


def test_a_kill_while_removing_leaves_no_damaged_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(tmp_path, 3, SingleProcess())
    save(tmp_path, 6, SingleProcess())

    def die(*_: object, **__: object) -> None:
        if list(tmp_path.glob("step_00000003.*.tmp")):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(commit.shutil, "rmtree", die)
        with pytest.raises(Killed):
            commit.remove(folder)
    assert select.steps(tmp_path) == [6]


def test_a_zombie_that_wakes_after_the_run_was_taken_over_publishes_nothing(tmp_path: Path) -> None:
    """It is suspended between its last check of the lease and its rename, which no check can prevent."""
    save(tmp_path, 3, SingleProcess())

    def check_ownership() -> None:
        commit.remove_unfinished(tmp_path)
        save(tmp_path, 6, SingleProcess(), b"the new owner's")

    with pytest.raises(EnvironmentFault):
        commit.save(
            tmp_path,
            SingleProcess(),
            writer(0, b"the zombie's"),
            step=6,
            zero_stage=1,
            precision="fp32",
            state={},
            check_ownership=check_ownership,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000003", "step_00000006"]
    assert (tmp_path / "step_00000006" / "deepspeed" / "rank0.pt").read_bytes() == b"the new owner's"
    assert not select.verify(tmp_path / "step_00000006")


@pytest.mark.parametrize("point", ["made", "written", "manifest"])
def test_a_zombie_whose_folder_is_removed_at_any_point_fails_and_harms_nothing(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 3, SingleProcess())
    real = commit.failpoint

    def taken_over(where: str) -> None:
        if where == point:
            monkeypatch.setattr(commit, "failpoint", real)
            commit.remove_unfinished(tmp_path)
            save(tmp_path, 6, SingleProcess(), b"the new owner's")

    monkeypatch.setattr(commit, "failpoint", taken_over)
    with pytest.raises(EnvironmentFault):
        save(tmp_path, 6, SingleProcess(), b"the zombie's")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000003", "step_00000006"]
    assert (tmp_path / "step_00000006" / "deepspeed" / "rank0.pt").read_bytes() == b"the new owner's"


def test_a_run_that_is_lost_after_the_rename_fails_before_older_checkpoints_are_deleted(tmp_path: Path) -> None:
    save(tmp_path, 3, SingleProcess())
    checks = iter([None, EnvironmentFault("taken over")])

    def check_ownership() -> None:
        if failure := next(checks):
            raise failure

    with pytest.raises(EnvironmentFault, match="taken over"):
        commit.save(
            tmp_path,
            SingleProcess(),
            writer(0, b"x"),
            step=6,
            zero_stage=1,
            precision="fp32",
            state={},
            check_ownership=check_ownership,
        )
    assert select.steps(tmp_path) == [3, 6]
    assert not select.verify(tmp_path / "step_00000006")  # renamed before the run was lost, and as good as any


def test_ranks_that_save_the_same_step_twice_never_share_a_folder(tmp_path: Path) -> None:
    seen = []

    def write(folder: Path) -> dict[str, FileDigest]:
        seen.append(folder.name)
        return {}

    for _ in range(2):
        commit.save(tmp_path, SingleProcess(), write, step=6, zero_stage=1, precision="fp32", state={})
    assert len(set(seen)) == 2 and all(name.startswith("step_00000006.") and name.endswith(".tmp") for name in seen)
