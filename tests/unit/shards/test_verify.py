"""Damage to finished shards is found and located; inspection tells what is there."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.data.decoding.decoder_counts import PYAV, DecoderCounts
from dual_hpc.data.format.index import Shard, read_index
from dual_hpc.errors import UserError
from launch.cli.main import main
from shards.report import read_report
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


def owner(shard: Shard, at: int) -> str | None:
    """Key of the sample to which a byte of a shard belongs: its members' headers, data and padding."""
    ends = [(offset + size + -size % 512, s.meta.key) for s in shard.samples for offset, size in s.members.values()]
    return next((key for end, key in sorted(ends) if at < end), None)


def test_any_changed_byte_of_a_shard_is_located_to_its_sample(packed: Path) -> None:
    for shard in read_index(packed).shards:
        path = packed / shard.name
        whole = path.read_bytes()
        rng = random.Random(4)
        first = shard.samples[0].members["json"]
        for at in [0, 300, 511, sum(first), len(whole) - 1, *rng.sample(range(len(whole)), 40)]:
            damaged = bytearray(whole)
            damaged[at] ^= rng.randrange(1, 256)
            path.write_bytes(damaged)
            key = owner(shard, at)
            assert [fault.where for fault in verify(packed)] == [shard.name, *([f"{shard.name}/{key}"] if key else [])]
        path.write_bytes(whole)


def test_any_changed_byte_of_an_index_is_noticed(packed: Path) -> None:
    path = packed / "index.json"
    whole = path.read_bytes()
    rng = random.Random(6)
    places = [whole.index(name) for name in (b"crc32", b"flac", b"max_fps", b"fingerprint", b'iemocap"')]
    for at in [*(place + 2 for place in places), *rng.sample(range(len(whole)), 80)]:
        damaged = bytearray(whole)
        damaged[at] ^= rng.choice((1 << rng.randrange(8), rng.randrange(1, 256)))
        path.write_bytes(damaged)
        try:
            assert verify(packed), bytes(damaged[at - 20 : at + 20])
        except UserError as error:
            assert "index.json" in str(error)


def test_a_size_beyond_all_memory_is_a_cut_member(packed: Path) -> None:
    path = packed / "index.json"
    index = json.loads(path.read_text())
    index["shards"][0]["samples"][0]["members"]["flac"][1] = 2**61
    path.write_text(json.dumps(index))
    key = index["shards"][0]["samples"][0]["meta"]["key"]
    assert [(f.where, f.reason) for f in verify(packed)] == [(f"shard-00000.tar/{key}", ".flac is cut off")]


def test_whatever_a_decoder_raises_is_a_fault_of_that_sample(packed: Path) -> None:
    """Shards that somebody wrote around damaged media: every sum is right."""
    path = packed / "index.json"
    index = json.loads(path.read_text())
    shard = index["shards"][0]
    data = bytearray((packed / shard["name"]).read_bytes())
    for sample in shard["samples"]:
        offset, _ = sample["members"]["flac"]
        data[offset + 21 : offset + 26] = b"\x0f\xff\xff\xff\xff"  # FLAC's count of samples: hundreds of gigabytes
        del sample["crc32"]
    (packed / shard["name"]).write_bytes(data)
    path.write_text(json.dumps(index))
    keys = {sample["meta"]["key"] for sample in shard["samples"]}
    assert {f.where for f in verify(packed)} == {"shard-00000.tar", *(f"shard-00000.tar/{key}" for key in keys)}


def test_a_damaged_report_keeps_no_shard_from_being_verified(packed: Path) -> None:
    (packed / "report.json").write_text("{")
    flip(packed / "shard-00000.tar", 0)
    assert {"report.json", "shard-00000.tar"} <= {fault.where for fault in verify(packed)}


def test_a_failing_disk_is_a_fault_and_not_the_end(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *mode: str) -> object:
        if path.name == "shard-00000.tar":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return open(path, *mode)

    monkeypatch.setattr("shards.verify.open", fail, raising=False)
    assert [(f.where, f.reason) for f in verify(packed)] == [("shard-00000.tar", "cannot be read: Input/output error")]


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
    assert main(["inspect", str(packed), "--sample", "Ses01F_impro01_M000"]) == 0
    shown = capsys.readouterr().out
    for expected in ("4 samples in 2 shards", "label ang", "session 1", "mean 1.00", "arousal: 4.0", ".flac: "):
        assert expected in shown


def test_the_command_exits_with_one_on_damage_and_two_on_mistakes(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(packed), "--verify"]) == 0
    flip(packed / "shard-00000.tar", 700)
    assert main(["inspect", str(packed), "--verify"]) == 1
    assert "shard-00000.tar: its sha256 is not the recorded one" in capsys.readouterr().out
    assert main(["inspect", str(packed), "--sample", "nobody"]) == 2
    assert main(["inspect", str(packed.parent)]) == 2
    assert main(["inspect", str(packed), "--audit-sides", "--audit-count", "0"]) == 2


@pytest.mark.parametrize(
    "change", [lambda index: index.pop("shards"), lambda index: index.update(shards=[]), lambda index: index.clear()]
)
def test_a_changed_index_is_one_line(
    packed: Path, change: Callable[[dict[str, object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    index = json.loads((packed / "index.json").read_text())
    change(index)
    (packed / "index.json").write_text(json.dumps(index))
    assert main(["inspect", str(packed)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_verification_says_which_decoder_training_will_use(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = sum("mp4" in sample.members for shard in read_index(packed).shards for sample in shard.samples)
    counts = DecoderCounts()
    assert verify(packed, decoders=counts) == [] and counts.as_dict() == {PYAV: videos}


@pytest.mark.timeout(60)
def test_a_shard_of_a_terabyte_of_nothing_is_not_hashed(packed: Path) -> None:
    os.truncate(packed / "shard-00000.tar", 10**12)
    faults = [(fault.where, fault.reason) for fault in verify(packed)]
    assert ("shard-00000.tar", f"has {10**12} bytes instead of") in [(w, r.rpartition(" ")[0]) for w, r in faults]


@pytest.mark.parametrize("change", [{"bytes": "x"}, {"skipped": 3}, {"counts": {"a": []}}, {"differences": [1]}])
def test_a_report_of_other_types_is_refused(change: dict[str, object], packed: Path) -> None:
    path = packed / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match="was changed"):
        read_report(packed)
