"""The records of an unfinished pack, as others may have left them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shards.pack_state import PackState


@pytest.mark.parametrize("content", ["", "{", "3", "null", "[]", '"x"', "{}", '{"shard": 3}', '{"notes": 5}', "\x00"])
def test_a_record_that_is_none_counts_as_a_shard_that_is_not_finished(content: str, tmp_path: Path) -> None:
    state = PackState(tmp_path)
    state.folder.mkdir()
    (state.folder / "00000.json").write_text(content)
    assert state.read(0) is None and state.read(1) is None
