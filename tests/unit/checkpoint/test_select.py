"""Damage of every file, in every way, is found; what is not verified is never selected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.manifest import BadManifest, Manifest, dump, load
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.digest import FileDigest, HashingWriter, hash_file
from dual_hpc.group import SingleProcess


def save(root: Path, step: int) -> Path:
    def write(folder: Path) -> dict[str, FileDigest]:
        digests = {}
        for name in ("a.pt", "b.pt"):
            file = HashingWriter(folder / name)
            file.write(f"{name} of step {step}".encode())
            digests[name] = file.finish()
        return digests

    return commit.save(
        root, SingleProcess(), write, step=step, zero_stage=0, precision="fp32", state={"best_score": 0.5}
    )


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", ["a.pt", "b.pt", "manifest.json"])
@pytest.mark.parametrize("damage", [truncate, flip, empty, Path.unlink])
def test_a_damaged_file_of_the_newest_falls_back_to_the_one_before(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    save(tmp_path, 3)
    newest = save(tmp_path, 6)
    damage(newest / name)
    choice = select.latest_verified(tmp_path, SingleProcess())
    assert choice is not None and choice.manifest.step == 3
    assert len(choice.rejected) == 1 and choice.rejected[0].startswith("step_00000006: ")


def test_checkpoints_of_which_none_is_usable_are_an_error(tmp_path: Path) -> None:
    for step in (3, 6):
        truncate(save(tmp_path, step) / "a.pt")
    with pytest.raises(EnvironmentFault, match=r"step_00000006.*step_00000003") as caught:
        select.latest_verified(tmp_path, SingleProcess())
    assert "\n" not in str(caught.value)


def test_later_checkpoints_are_ignored_for_a_rollback(tmp_path: Path) -> None:
    for step in (3, 6, 9):
        save(tmp_path, step)
    found = [select.latest_verified(tmp_path, SingleProcess(), up_to) for up_to in (None, 9, 8, 3, 2)]
    assert [choice and choice.manifest.step for choice in found] == [9, 9, 6, 3, None]


def test_without_any_checkpoint_there_is_none_to_resume_from(tmp_path: Path) -> None:
    (tmp_path / "step_00000003.tmp").mkdir()
    assert select.latest_verified(tmp_path, SingleProcess()) is None
    assert select.latest_verified(tmp_path / "absent", SingleProcess()) is None


@pytest.mark.parametrize("foreign", ["file", "empty", "link to nowhere", "renamed"])
def test_foreign_files_next_to_the_checkpoints_are_ignored(tmp_path: Path, foreign: str) -> None:
    save(tmp_path, 3)
    for name in ("step_9", "step_00000009.old", "notes.txt", "latest"):
        (tmp_path / name).write_text("x")
    there = tmp_path / "step_00000012"
    if foreign == "file":
        there.write_text("x")
    elif foreign == "empty":
        there.mkdir()
    elif foreign == "renamed":  # it would be taken for a later position than it has
        shutil.copytree(tmp_path / "step_00000003", there)
    else:
        there.symlink_to("gone")
    choice = select.latest_verified(tmp_path, SingleProcess())
    assert choice is not None and choice.manifest.step == 3 and len(choice.rejected) == 1
    assert select.verify(there)


def test_a_checkpoint_may_be_a_link_to_another_folder(tmp_path: Path) -> None:
    save(tmp_path / "away", 3)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "step_00000003").symlink_to(tmp_path / "away" / "step_00000003")
    choice = select.latest_verified(tmp_path / "root", SingleProcess())
    assert choice is not None and choice.manifest.step == 3


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(EnvironmentFault, match="checkpoints cannot be read: Not a directory"):
        select.latest_verified(tmp_path / "checkpoints", SingleProcess())


def test_a_changed_value_in_the_manifest_is_found_even_if_it_still_parses(tmp_path: Path) -> None:
    folder = save(tmp_path, 3)
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace("0.5", "0.7"))
    with pytest.raises(BadManifest, match="damaged"):
        load(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "a\0b"])
def test_a_manifest_cannot_name_files_outside_its_folder(name: str) -> None:
    with pytest.raises(ValueError, match="is outside"):
        Manifest(
            step=1,
            world_size=1,
            zero_stage=0,
            precision="fp32",
            state={},
            files={name: FileDigest(bytes=0, sha256="0" * 64)},
        )


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"digest": "x"}', '"digest"', "[" * 100_000])
def test_any_other_content_of_manifest_json_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BadManifest):
        load(tmp_path)


def test_a_manifest_of_a_later_format_is_named_as_such(tmp_path: Path) -> None:
    manifest = Manifest(format_version=99, step=1, world_size=1, zero_stage=0, precision="fp32", state={}, files={})
    (tmp_path / "manifest.json").write_text(dump(manifest))
    with pytest.raises(BadManifest, match="format 99"):
        load(tmp_path)


def test_the_digest_of_what_was_written_is_that_of_the_file(tmp_path: Path) -> None:
    file = HashingWriter(tmp_path / "x")
    file.write(b"one ")
    file.write(memoryview(b"two"))
    assert file.finish() == hash_file(tmp_path / "x", "blake3")
    assert json.loads(hash_file(tmp_path / "x").model_dump_json())["bytes"] == 7


@pytest.mark.parametrize(("written_by", "ranks"), [(1, 1), (2, 2), (3, 2), (2, 3), (8, 8), (7, 4)])
@pytest.mark.parametrize("stage", [0, 1, 3])
def test_every_file_is_verified_by_one_rank_and_a_rank_s_own_by_itself(written_by: int, ranks: int, stage: int) -> None:
    files = {f"deepspeed/zero_pp_rank_{n}_mp_rank_00_optim_states.pt": n for n in range(written_by if stage else 0)}
    models = {f"deepspeed/zero_pp_rank_{n}_mp_rank_00_model_states.pt": n for n in range(written_by)}
    owned = files | (models if stage == 3 else {})
    every = {*owned, *(() if stage == 3 else ("deepspeed/mp_rank_00_model_states.pt",))}
    shares = [select.share_of_files(every, rank, ranks) for rank in range(ranks)]
    assert sorted(name for share in shares for name in share) == sorted(every)
    assert all(name in shares[number % ranks] for name, number in owned.items())
