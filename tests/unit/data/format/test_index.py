"""`index.json` as it was always written."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from dual_hpc.data.format.index import INDEX_NAME, read_index, write_index
from dual_hpc.errors import UserError

WRITTEN = (
    '{"format_version":1,"dataset_id":"ab","corpus":"meld","kind":"media","options":{"fps":"25"},"shards":[{"name":'
    '"shard-00000.tar","bytes":4096,"sha256":"cd","samples":[{"meta":{"key":"d0_u1","corpus":"meld","split":"train",'
    '"season":3,"episode":19,"dialogue":"0","utterance":1,"speaker":"Rachel","label":"joy","duration":1.5,"fps":25.0,'
    '"has_audio":true,"has_video":false,"has_text":true,"sources":{"media":"a.mp4"},"options":{}},"members":{"json":'
    '[512,100],"flac":[1536,900]},"crc32":{"json":7,"flac":4294967295}}]}]}'
)


def test_an_index_written_before_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    (tmp_path / INDEX_NAME).write_text(WRITTEN)
    index = read_index(tmp_path)
    (sample,) = index.shards[0].samples
    assert (sample.meta.key, sample.meta.has_video, sample.members["flac"]) == ("d0_u1", False, (1536, 900))
    write_index(tmp_path, index)
    assert json.loads((tmp_path / INDEX_NAME).read_text()) == json.loads(WRITTEN)


def test_a_folder_or_file_without_an_index_is_called_what_it_is(tmp_path: Path) -> None:
    for name in ("empty", "unfinished/.pack", "foreign", "raw/train", "parent/meld"):
        (tmp_path / name).mkdir(parents=True)
    with tarfile.open(tmp_path / "foreign" / "000000.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("a.cls"))
    (tmp_path / "foreign" / "000001.tar").touch()
    (tmp_path / "raw" / "train_sent_emo.csv").touch()
    for folder in ("parent/meld", "one"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / INDEX_NAME).write_text(WRITTEN)
    shutil.copy(tmp_path / "foreign" / "000000.tar", tmp_path / "one" / "shard-00000.tar")
    (tmp_path / "words.csv").write_text("a,b\n")
    for name, expected in {
        "absent": "the folder .*absent does not exist; pack a corpus there",
        "empty": "empty has no index.json: it is empty; pack a corpus there",
        "unfinished": "has no index.json: its packing is unfinished; give the same `dual-hpc pack` command again",
        "foreign": "foreign has 2 tar files and no index.json: dual-hpc did not write them, or their index was removed",
        "raw": "has no index.json and no tar files: it holds no shards",
        "parent": "has no index.json, but folders in it have: meld; give one of them",
        "one/shard-00000.tar": "is a tar archive, not a folder of shards; give its folder .*one$",
        "foreign/000000.tar": "is a tar archive, not a folder of shards; give a folder with an index.json",
        "words.csv": "words.csv is a file, not a folder of shards; give a folder",
    }.items():
        with pytest.raises(UserError, match=f"^data.shards: .*{expected}"):
            read_index(tmp_path / name)
    with pytest.raises(UserError, match=r"^folder: .*foreign has 2 tar files"):
        read_index(tmp_path / "foreign", setting="folder")
