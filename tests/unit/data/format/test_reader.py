"""Random access into tars, and what is wrong with them."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.index import ShardIndex, dataset_id, read_index, write_index
from dual_hpc.data.format.members import StoredArray
from dual_hpc.data.format.reader import SampleReader, SampleRef
from dual_hpc.errors import EnvironmentFault, UserError
from tests.unit.data.conftest import Clip, write_shards


def test_members_are_those_of_the_tar(folder: Path) -> None:
    dataset = ShardDataset([folder])
    with SampleReader(open_files=1) as reader:
        for number in [12, 0, 7, 7, 3]:
            ref = dataset.ref(number)
            with tarfile.open(ref.path) as tar:
                expected = {e: tar.extractfile(f"{ref.key}.{e}").read() for e in ref.members}
            assert reader.read(ref) == expected
            assert reader.read(ref, {"txt"}) == {"txt": expected["txt"]}
            assert reader.read(ref, set()) == {}


def test_members_far_apart_are_read_one_by_one(tmp_path: Path) -> None:
    clip = Clip(1.0, b"f" * 10, b"v" * 300_000, "t")
    reader, ref = SampleReader(), ShardDataset([write_shards(tmp_path / "s", [[clip]])]).ref(0)
    assert reader.read(ref, {"flac", "txt"}) == {"flac": b"f" * 10, "txt": b"t"}
    reader.close()


def test_a_shard_that_was_cut_short_is_named(folder: Path) -> None:
    path = folder / "shard-00001.tar"
    os.truncate(path, path.stat().st_size // 2)
    with SampleReader() as reader, pytest.raises(EnvironmentFault, match=r"shard-00001\.tar has .* index says"):
        reader.read(ShardDataset([folder]).ref(4))


def test_a_shard_that_shrinks_while_it_is_open_is_named(folder: Path) -> None:
    dataset = ShardDataset([folder])
    with SampleReader() as reader:
        reader.read(dataset.ref(3))
        os.truncate(folder / "shard-00001.tar", 2048)
        with pytest.raises(EnvironmentFault, match="ends before byte"):
            reader.read(dataset.ref(6))


def test_a_deleted_shard_is_named(folder: Path) -> None:
    dataset = ShardDataset([folder])
    (folder / "shard-00002.tar").unlink()
    with SampleReader() as reader, pytest.raises(EnvironmentFault, match=r"cannot open shard .*shard-00002\.tar"):
        reader.read(dataset.ref(7))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.integers(-2000, 10**9), st.integers(0, 12))
def test_an_index_with_a_wrong_offset_is_refused(folder: Path, shift: int, number: int) -> None:
    ref = ShardDataset([folder]).ref(number)
    offset, size = ref.members["flac"]
    if shift == 0:
        return
    ref.members["flac"] = (offset + shift, size)
    with SampleReader() as reader, pytest.raises(UserError, match="does not belong to"):
        reader.read(ref, {"flac"})


@pytest.mark.parametrize(
    "field, value",
    [
        ("offset", -1),
        ("bytes", -600),
        ("offset", 2**63),
        ("duration", float("nan")),
        ("duration", float("inf")),
        ("duration", 0),
        ("duration", -1),
        ("name", "../other.tar"),
        ("name", ".."),
        ("name", ""),
    ],
)
def test_an_index_with_impossible_values_is_refused_when_it_is_read(folder: Path, field: str, value: Any) -> None:
    index = json.loads((folder / "index.json").read_text())
    shard = index["shards"][1]
    sample = shard["samples"][0]
    if field == "name":
        shard["name"] = value
    elif field == "duration":
        sample["meta"]["duration"] = value
    else:
        sample["members"]["flac"][field == "bytes"] = value
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"is not a shard index \(shards\.1\."):
        ShardDataset([folder])


@pytest.mark.parametrize("edit", ["a shard less", "another id", "shards in another order"])
def test_an_index_edited_by_hand_is_another_data_set_and_refused(folder: Path, edit: str) -> None:
    index = json.loads((folder / "index.json").read_text())
    if edit == "a shard less":
        index["shards"].pop()
    elif edit == "another id":
        index["dataset_id"] = "0" * 32
    else:
        index["shards"].reverse()
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"index\.json lists other shards than it was written for"):
        ShardDataset([folder])


def test_an_index_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "index.json").mkdir()
    with pytest.raises(EnvironmentFault, match=r"cannot read .*index\.json"):
        ShardDataset([tmp_path])
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(UserError, match="does not exist"):
            ShardDataset([name])


def test_the_same_folder_under_two_names_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    for again in (folder, f"{folder}/", tmp_path / "link"):
        with pytest.raises(UserError, match="list a folder twice"):
            ShardDataset([folder, again])


def test_relative_folders_are_found_after_the_process_went_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    dataset = ShardDataset(["shards"])
    monkeypatch.chdir("/")
    with SampleReader() as reader:
        assert reader.read(dataset.ref(0), {"txt"}) == {"txt": b"so it goes"}
    assert len(dataset.utterances) == 13


@pytest.mark.parametrize("damage", ["junk", "a bit of its header", "a number alone"])
def test_the_layout_of_features_is_that_of_the_first_sound_ones(tmp_path: Path, damage: str) -> None:
    clips = [Clip(1.0, text=None, npy={"audio": np.ones((2, 4), np.float16)}) for _ in range(3)]
    if damage == "a number alone":
        clips[0].npy["audio"] = np.float16(1)
    folder = write_shards(tmp_path / "s", [clips], "features", sums=True)
    path = folder / "shard-00000.tar"
    data = bytearray(path.read_bytes())
    offset, size = ShardDataset([folder]).ref(0).members["audio.npy"]
    if damage == "junk":
        data[offset : offset + size] = b"j" * size
    elif damage == "a bit of its header":
        data[offset + data[offset:].index(b"4)")] ^= 6  # two wide
    path.write_bytes(data)
    assert ShardDataset([folder]).features() == {"audio": (StoredArray("audio.npy", 4, "<f2", None),)}


def test_features_that_are_all_damaged_are_refused(tmp_path: Path) -> None:
    clips = [Clip(1.0, text=None, npy={"audio": np.float16(1)}) for _ in range(3)]
    with pytest.raises(UserError, match=r"every audio\.npy is damaged"):
        ShardDataset([write_shards(tmp_path / "s", [clips], "features")]).features()


def test_two_tars_of_equal_size_that_changed_places_are_refused(tmp_path: Path, media: Any) -> None:
    folder = write_shards(tmp_path / "s", [[media(0.3)], [media(0.3)]])
    first, second = folder / "shard-00000.tar", folder / "shard-00001.tar"
    assert first.stat().st_size == second.stat().st_size
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    with SampleReader() as reader, pytest.raises(UserError, match="does not belong to"):
        reader.read(ShardDataset([folder]).ref(0))


def test_several_folders_are_one_data_set(tmp_path: Path, media: Any) -> None:
    one = write_shards(tmp_path / "one", [[media(0.3)] * 2])
    two = write_shards(tmp_path / "two", [[media(0.4)] * 3])
    both = ShardDataset([one, two])
    assert len(both) == 5 and both.table.shard_count == 2
    assert both.ref(4).path == str(two / "shard-00000.tar")
    assert len({both.dataset_id, ShardDataset([two, one]).dataset_id, ShardDataset([one]).dataset_id}) == 3
    assert ShardDataset([one]).dataset_id == read_index(one).dataset_id


def test_no_folder_no_sample_and_mixed_kinds_are_refused(tmp_path: Path, media: Any) -> None:
    with pytest.raises(UserError, match=r"data\.shards"):
        ShardDataset([])
    with pytest.raises(UserError, match="no samples"):
        ShardDataset([write_shards(tmp_path / "empty", [[]])])
    one, two = (write_shards(tmp_path / name, [[media(0.3)]]) for name in ("one", "two"))
    write_index(two, read_index(two).model_copy(update={"kind": "features"}))
    with pytest.raises(UserError, match="media and of features"):
        ShardDataset([one, two])


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_longest_keys_are_found_in_every_format_of_tar(tmp_path: Path, kind: Any) -> None:
    path, keys = tmp_path / "long.tar", ["k" * 127 + end for end in "ab"]
    with tarfile.open(path, "w", format=kind) as tar:
        for key in keys:
            info = tarfile.TarInfo(f"{key}.txt")
            info.size = 1
            tar.addfile(info, io.BytesIO(key[-1:].encode()))
    with tarfile.open(path) as tar:
        places = [(member.offset_data, member.size) for member in tar]
    refs = [SampleRef(0, k, str(path), path.stat().st_size, {"txt": p}, 1.0) for k, p in zip(keys, places, strict=True)]
    with SampleReader() as reader:
        assert [reader.read(ref)["txt"] for ref in refs] == [b"a", b"b"]


def test_the_shards_of_the_packer_are_read(tmp_path: Path, media: Any) -> None:
    # The only place where this room meets the packer: what it writes is what is read here.
    from shards.writer import Sample, ShardWriter

    meta = ShardDataset([write_shards(tmp_path / "any", [[media(0.3)]])]).utterances[0]
    members = {"flac": media(0.3).flac, "mp4": media(0.3).mp4, "txt": b"so"}
    with ShardWriter(tmp_path, "packed.tar", tmp_path / ".packed") as writer:
        for end in "abc":
            writer.add(Sample(meta.model_copy(update={"key": f"key_{end}"}), members))
    writer.commit()
    index = ShardIndex(dataset_id=dataset_id([writer.shard]), corpus="test", options={}, shards=[writer.shard])
    write_index(tmp_path, index)
    with SampleReader() as reader:
        for number in (2, 0, 1):
            read = reader.read(ShardDataset([tmp_path]).ref(number))
            assert {extension: read[extension] for extension in members} == members
