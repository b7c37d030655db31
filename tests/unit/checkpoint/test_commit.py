"""The commit protocol with threads as ranks: stopped anywhere, a checkpoint is whole or absent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.digest import FileProof, ProvenFile
from dual_hpc.checkpoint.manifest import load
from dual_hpc.errors import EnvironmentFault
from dual_hpc.group import Alone

T = TypeVar("T")
POINTS = ("made", "written", "manifest", "renamed", "latest")


class Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


class Threads:
    """A rank of a group whose ranks are threads."""

    def __init__(self, rank: int, slots: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.size = rank, len(slots)
        self._slots, self._barrier = slots, barrier

    def gather(self, value: T) -> list[T]:
        self._slots[self.rank] = value
        self._barrier.wait(600)
        values = list(self._slots)
        self._barrier.wait(600)
        return values

    def broadcast(self, value: T) -> T:
        return self.gather(value)[0]


def together(size: int, act: Callable[[Threads], T]) -> list[T | BaseException]:
    slots, barrier = [None] * size, threading.Barrier(size)
    answers: list[Any] = [None] * size

    def rank(number: int) -> None:
        try:
            answers[number] = act(Threads(number, slots, barrier))
        except BaseException as error:
            answers[number] = error

    threads = [threading.Thread(target=rank, args=(n,)) for n in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def writer(rank: int, content: bytes) -> commit.Writer:
    def write(folder: Path) -> dict[str, FileProof]:
        (folder / "deepspeed").mkdir(exist_ok=True)
        file = ProvenFile(folder / "deepspeed" / f"rank{rank}.pt")
        file.write(content)
        return {f"deepspeed/rank{rank}.pt": file.finish()}

    return write


def save(root: Path, step: int, group: Any, content: bytes | None = None) -> Path:
    write = writer(group.rank, content or f"{step} {group.rank}".encode())
    return commit.save(root, group, write, step=step, zero_stage=1, precision="fp32", state={"step": step})


def test_what_three_ranks_save_is_proven_and_chosen(tmp_path: Path) -> None:
    for step in (3, 12):
        assert together(3, lambda group, step=step: save(tmp_path, step, group)) == [tmp_path / f"step_{step:08d}"] * 3
    manifest = load(tmp_path / "step_00000012")
    assert manifest.world_size == 3 and sorted(manifest.files) == [f"deepspeed/rank{n}.pt" for n in range(3)]
    assert (tmp_path / "latest").read_text() == "step_00000012\n"
    choices = together(3, lambda group: select.newest_proven(tmp_path, group))
    assert [choice.manifest.step for choice in choices] == [12] * 3  # type: ignore[union-attr]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_leaves_whole_checkpoints_only(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 3, Alone())

    def die(where: str) -> None:
        if where == point:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(commit, "reached", die)
        with pytest.raises(Killed):
            save(tmp_path, 6, Alone())
    assert all(not select.verify(tmp_path / f"step_{step:08d}") for step in select.steps(tmp_path))
    choice = select.newest_proven(tmp_path, Alone())
    assert choice is not None and not choice.passed_over
    assert choice.manifest.step == (6 if point in ("renamed", "latest") else 3)

    commit.sweep(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))
    save(tmp_path, 6, Alone())
    assert select.newest_proven(tmp_path, Alone()).manifest.step == 6  # type: ignore[union-attr]


def test_a_rank_that_cannot_write_abandons_the_checkpoint_on_all(tmp_path: Path) -> None:
    save(tmp_path, 3, Alone())

    def act(group: Threads) -> Path:
        def full(folder: Path) -> dict[str, FileProof]:
            raise OSError(28, "No space left on device")

        write = full if group.rank == 1 else writer(group.rank, b"x")
        return commit.save(tmp_path, group, write, step=6, zero_stage=1, precision="fp32", state={})

    for answer in together(3, act):
        assert isinstance(answer, EnvironmentFault) and "rank 1: No space left on device" in str(answer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step_00000003"]


def test_the_same_step_saved_again_replaces_a_damaged_one(tmp_path: Path) -> None:
    folder = save(tmp_path, 3, Alone(), b"first")
    (folder / "deepspeed" / "rank0.pt").write_bytes(b"flaws")
    assert select.verify(folder)
    save(tmp_path, 3, Alone(), b"second")
    assert not select.verify(folder)


@pytest.mark.parametrize("foreign", ["file", "link to a folder", "link to nowhere"])
def test_what_stands_in_the_place_of_a_checkpoint_is_replaced_and_what_a_link_names_stays(
    tmp_path: Path, foreign: str
) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    save(away, 6, Alone())
    root.mkdir()
    there = root / "step_00000006"
    if foreign == "file":
        there.write_text("x")
    else:
        there.symlink_to(away / ("step_00000006" if foreign == "link to a folder" else "gone"))
    assert not select.verify(save(root, 6, Alone()))
    assert not there.is_symlink() and not list(root.glob("*.tmp"))
    assert not select.verify(away / "step_00000006")


def test_of_a_link_only_the_name_is_removed(tmp_path: Path) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    save(away, 6, Alone())
    root.mkdir()
    for name in ("step_00000006", "step_00000006.abc.tmp"):
        (root / name).symlink_to(away / "step_00000006")
    commit.remove(root / "step_00000006")
    commit.sweep(root)
    assert not list(root.iterdir()) and not select.verify(away / "step_00000006")


def test_removing_is_never_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(tmp_path, 3, Alone())
    save(tmp_path, 6, Alone())

    def die(*_: object, **__: object) -> None:
        if list(tmp_path.glob("step_00000003.*.tmp")):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(commit.shutil, "rmtree", die)
        with pytest.raises(Killed):
            commit.remove(folder)
    assert select.steps(tmp_path) == [6]


def test_a_zombie_that_wakes_after_the_run_was_taken_over_publishes_nothing(tmp_path: Path) -> None:
    """It sleeps between its last look at the lease and its rename, which no look can prevent."""
    save(tmp_path, 3, Alone())

    def fence() -> None:
        commit.sweep(tmp_path)
        save(tmp_path, 6, Alone(), b"the new owner's")

    with pytest.raises(EnvironmentFault):
        commit.save(
            tmp_path,
            Alone(),
            writer(0, b"the zombie's"),
            step=6,
            zero_stage=1,
            precision="fp32",
            state={},
            fence=fence,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step_00000003", "step_00000006"]
    assert (tmp_path / "step_00000006" / "deepspeed" / "rank0.pt").read_bytes() == b"the new owner's"
    assert not select.verify(tmp_path / "step_00000006")


@pytest.mark.parametrize("point", ["made", "written", "manifest"])
def test_whatever_a_zombie_was_doing_when_it_was_swept_away_it_fails_and_harms_nothing(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 3, Alone())
    real = commit.reached

    def taken_over(where: str) -> None:
        if where == point:
            monkeypatch.setattr(commit, "reached", real)
            commit.sweep(tmp_path)
            save(tmp_path, 6, Alone(), b"the new owner's")

    monkeypatch.setattr(commit, "reached", taken_over)
    with pytest.raises(EnvironmentFault):
        save(tmp_path, 6, Alone(), b"the zombie's")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step_00000003", "step_00000006"]
    assert (tmp_path / "step_00000006" / "deepspeed" / "rank0.pt").read_bytes() == b"the new owner's"


def test_a_run_lost_behind_the_rename_does_not_move_the_pointer(tmp_path: Path) -> None:
    save(tmp_path, 3, Alone())
    looks = iter([None, EnvironmentFault("taken over")])

    def fence() -> None:
        if failure := next(looks):
            raise failure

    with pytest.raises(EnvironmentFault, match="taken over"):
        commit.save(tmp_path, Alone(), writer(0, b"x"), step=6, zero_stage=1, precision="fp32", state={}, fence=fence)
    assert (tmp_path / "latest").read_text() == "step_00000003\n"
    assert not select.verify(tmp_path / "step_00000006")  # named before the run was lost, and as good as any


def test_ranks_that_save_the_same_step_twice_never_share_a_folder(tmp_path: Path) -> None:
    seen = []

    def write(folder: Path) -> dict[str, FileProof]:
        seen.append(folder.name)
        return {}

    for _ in range(2):
        commit.save(tmp_path, Alone(), write, step=6, zero_stage=1, precision="fp32", state={})
    assert len(set(seen)) == 2 and all(name.startswith("step_00000006.") and name.endswith(".tmp") for name in seen)
