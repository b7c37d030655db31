"""`index.json` as it was always written."""

from __future__ import annotations

import json
from pathlib import Path

from dual_hpc.data.format.index import INDEX_NAME, read_index, write_index

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
