"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dual_hpc.files.atomic import write_atomically


@pytest.mark.parametrize("content", ["é\n", b"\x00\xff", ""])
def test_a_file_holds_exactly_what_was_written(tmp_path: Path, content: str | bytes) -> None:
    write_atomically(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_writer_that_dies_leaves_the_old_file_and_the_next_writes_over_its_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "a", "old")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", die)
        write_atomically(tmp_path / "a", "much longer, never finished")
    assert (tmp_path / "a").read_text() == "old"
    write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new" and len(list(tmp_path.iterdir())) == 1
