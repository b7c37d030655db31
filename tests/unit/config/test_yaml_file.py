"""Configurations, protocols and profiles are read from YAML files in one way: a mistake is one line that names it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from launch.cluster.profiles import load_profile

READERS: dict[str, Callable[[str], object]] = {
    "configuration ": load_config,
    "data.protocol: ": lambda path: load_config(None, [f"data.protocol={path}"]),
    "launch.profile: ": load_profile,
}
CONTENTS = {
    b"\xff\xfe": "is not UTF-8 text",
    b"a: [": "cannot be used: line 1",
    b"a: 1\na: 2\n": "cannot be used: line 2, column 1: a is given twice",
    b"a: \0": "cannot be used",
    b"- a\n- b\n": "must be a mapping",
    b"a word": "must be a mapping",
    b"0": "must be a mapping",
    b"false": "must be a mapping",
    b"[]": "must be a mapping",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_yaml_mapping_is_refused_alike(tmp_path: Path, reader: str, content: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        READERS[reader](str(path))
    assert str(caught.value).startswith(f"{reader}{path} {CONTENTS[content]}") and "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_refused_alike(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "mine.yaml"
    for make, said in (
        (None, "does not exist"),
        (path.mkdir, "cannot be read"),
        (lambda: os.mkfifo(path), "cannot be"),
    ):
        if path.is_dir():
            path.rmdir()
        if make is not None:
            make()
        with pytest.raises(UserError) as caught:
            READERS[reader](str(path))
        assert str(caught.value).startswith(f"{reader}{path} {said}"), make


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", ["", "# nothing yet\n", "\ufeff# with a mark\n"])
def test_an_empty_file_holds_nothing(tmp_path: Path, reader: str, content: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    READERS[reader](str(tmp_path / "mine.yaml"))
