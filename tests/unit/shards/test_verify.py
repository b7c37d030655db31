"""Damage to finished shards is found and located; inspection tells what is there."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.data.index import read_index
from dual_hpc.errors import UserError
from shards import inspection
from shards.verify import verify


@pytest.fixture
def packed(packed_iemocap: Path, tmp_path: Path) -> Path:
    return shutil.copytree(packed_iemocap, tmp_path / "out")


def flip(path: Path, at: int, count: int = 1) -> None:
    data = bytearray(path.read_bytes())
    for i in range(at, at + count):
        data[i] ^= 0xFF
    path.write_bytes(data)


def test_sound_shards_have_no_faults(packed: Path) -> None:
    assert verify(packed) == []


@pytest.mark.parametrize("extension", ["json", "flac", "txt", "mp4"])
def test_damage_is_located_to_shard_and_sample(packed: Path, extension: str) -> None:
    shard = read_index(packed).shards[1]
    sample = next(s for s in shard.samples if extension in s.members)
    offset, size = sample.members[extension]
    flip(packed / shard.name, offset, size)
    faults = {fault.where: fault.reason for fault in verify(packed)}
    assert faults[shard.name] == "its sha256 is not the recorded one"
    assert f".{extension}" in faults[f"{shard.name}/{sample.meta.key}"]
    assert len(faults) == 2


@pytest.mark.parametrize("extension", ["json", "flac", "txt", "mp4"])
def test_a_single_bit_is_located_to_its_member(packed: Path, extension: str) -> None:
    shard = read_index(packed).shards[0]
    sample = next(s for s in shard.samples if extension in s.members)
    offset, size = sample.members[extension]
    whole = (packed / shard.name).read_bytes()
    for at in random.Random(5).sample(range(size), min(size, 12)):
        damaged = bytearray(whole)
        damaged[offset + at] ^= 4
        (packed / shard.name).write_bytes(damaged)
        (first, second) = verify(packed)
        assert first.where == shard.name and second.where == f"{shard.name}/{sample.meta.key}"
        assert second.reason.startswith(f".{extension} ")


def test_a_bit_between_the_members_is_noticed(packed: Path) -> None:
    whole = (packed / "shard-00000.tar").read_bytes()
    for at in (0, 300, 700):
        damaged = bytearray(whole)
        damaged[at] ^= 4
        (packed / "shard-00000.tar").write_bytes(damaged)
        assert any(fault.where == "shard-00000.tar" for fault in verify(packed))


def test_cut_missing_and_strange_shards_are_named(packed: Path) -> None:
    path = packed / "shard-00000.tar"
    path.write_bytes(path.read_bytes()[:3000])
    (packed / "shard-00001.tar").rename(packed / "other.tar")
    faults = [(fault.where, fault.reason) for fault in verify(packed)]
    assert ("shard-00001.tar", "is missing") in faults and ("other.tar", "is not in the index") in faults
    assert any(where == "shard-00000.tar" and "has 3000 bytes" in reason for where, reason in faults)
    assert any(where.startswith("shard-00000.tar/") and "is cut off" in reason for where, reason in faults)


def test_an_index_that_names_files_elsewhere_is_not_followed(packed: Path) -> None:
    (packed.parent / "secret.tar").write_bytes(b"x")
    path = packed / "index.json"
    path.write_text(path.read_text().replace("shard-00000.tar", "../secret.tar"))
    try:
        faults = [(fault.where, fault.reason) for fault in verify(packed)]
    except UserError as error:
        assert "is not a shard index" in str(error)
    else:
        assert ("../secret.tar", "is missing") in faults


def test_inspection_shows_counts_and_one_sample_in_full(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspection.main([str(packed), "--sample", "Ses01F_impro01_M000"]) == 0
    shown = capsys.readouterr().out
    for expected in ("4 samples in 2 shards", "label ang", "session 1", "mean 1.00", "arousal: 4.0", ".flac: "):
        assert expected in shown


def test_the_command_exits_with_one_on_damage_and_two_on_mistakes(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspection.main([str(packed), "--verify"]) == 0
    flip(packed / "shard-00000.tar", 700)
    assert inspection.main([str(packed), "--verify"]) == 1
    assert "shard-00000.tar: its sha256 is not the recorded one" in capsys.readouterr().out
    assert inspection.main([str(packed), "--sample", "nobody"]) == 2
    assert inspection.main([str(packed.parent)]) == 2
    assert inspection.main([str(packed), "--audit-sides", "--audit-count", "0"]) == 2


@pytest.mark.parametrize(
    "change", [lambda index: index.pop("shards"), lambda index: index.update(shards=[]), lambda index: index.clear()]
)
def test_a_changed_index_is_one_line(
    packed: Path, change: Callable[[dict[str, object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    index = json.loads((packed / "index.json").read_text())
    change(index)
    (packed / "index.json").write_text(json.dumps(index))
    assert inspection.main([str(packed)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
