"""Records are whole or reported, whatever the disk does; those before and after a torn one stay readable."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dual_hpc.run.jsonl import append, read


class Note(BaseModel):
    text: str


@pytest.mark.parametrize("torn", [b"{", b'{"text":"hal', b'{"text":"whole but for its line break"}'])
def test_a_torn_line_does_not_swallow_the_next_record(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "notes.jsonl"
    append(path, Note(text="first"))
    with open(path, "ab") as file:
        file.write(torn)
    append(path, Note(text="second"))
    assert [note.text for note in read(path, Note)][-1] == "second"
    assert read(path, Note)[0].text == "first"


@given(taken=st.lists(st.integers(0, 40), max_size=6), text=st.text(max_size=30))
def test_a_record_that_the_disk_takes_in_parts_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, taken: list[int], text: str
) -> None:
    path = tmp_path_factory.mktemp("short") / "notes.jsonl"
    append(path, Note(text="before"))
    parts, write = list(taken), os.write

    def short(file: int, data: bytes) -> int:
        return write(file, data[: min(parts.pop(0), len(data) - 1)]) if parts else write(file, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", short)
        append(path, Note(text=text))
    append(path, Note(text="after"))
    assert [note.text for note in read(path, Note)] == ["before", text, "after"]


def test_a_disk_that_never_takes_a_whole_line_is_not_asked_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "notes.jsonl", os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: (len(data) + 1) // 2]))
    for text in ("one", "two"):
        append(path, Note(text=text))
    assert [note.text for note in read(path, Note)] == ["one", "two"] and path.stat().st_size < 200


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Path]:
    """A file that a process may let grow to 120 bytes; it holds one record of 40 bytes."""
    path = tmp_path / "notes.jsonl"
    append(path, Note(text="x" * 27))
    yield path


def test_a_disk_that_is_full_is_an_error_that_names_the_file_and_costs_one_record(limited: Path) -> None:
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom pydantic import BaseModel\n"
        "from dual_hpc.run.jsonl import append\nclass Note(BaseModel):\n    text: str\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (120, 120))\n"
        "try: append(Path(sys.argv[1]), Note(text='y' * 100))\n"
        "except OSError as error: print(error.errno, error.filename)\n"
        "else: print('written')\n"
    )
    command = [sys.executable, "-c", program, str(limited)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG), str(limited)]
    assert limited.stat().st_size == 120  # a part of it was taken
    append(limited, Note(text="later"))
    assert [note.text for note in read(limited, Note)] == ["x" * 27, "later"]
