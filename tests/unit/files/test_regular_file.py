"""What is not a file, or is too large, is refused at once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import first_irregular, open_regular, read_bytes, read_text


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


def _link(target: str) -> object:
    return lambda path: path.symlink_to(target)


KINDS = {
    "pipe": (_fifo, "named pipe"),
    "socket": (_socket, "socket"),
    "zero": (_link("/dev/zero"), "device"),
    "terminal": (_link("/dev/tty"), "device"),
    "null": (_link("/dev/null"), "device"),
    "kernel": (_link("/proc/kmsg"), "kernel"),
    "folder": (Path.mkdir, "directory"),
    "loop": (_link("it"), "symbolic links"),
    "dangling": (_link("nothing"), "No such file"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("make", "word"), KINDS.values(), ids=KINDS)
def test_what_is_no_file_is_refused_without_waiting(
    make: object, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    path = Path("it")
    make(path)  # type: ignore[operator]
    with pytest.raises(OSError) as caught:
        read_bytes(path)
    assert word in str(caught.value.strerror) and str(caught.value.filename) == "it"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "y/" * 3000])
def test_a_name_that_no_file_can_have_is_one_kind_of_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError):
        read_bytes(f"{tmp_path}/{name}")


def test_a_file_of_any_claimed_size_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 10**12)
    with pytest.raises(OSError, match="bytes"):
        read_bytes(path)


def test_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfabc")
    (tmp_path / "b").symlink_to("a")
    assert read_bytes(tmp_path / "b", limit=6, start=3) == b"abc" and read_text(tmp_path / "b", "utf-8-sig") == "abc"
    with open_regular(tmp_path / "a") as file:
        assert file.readline() and os.get_blocking(file.fileno()) in (True, False)


def test_a_folder_that_others_read_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    (tmp_path / "dangling").symlink_to("nothing")
    assert first_irregular(tmp_path) is None and first_irregular(tmp_path / "none") is None
    (tmp_path / "vocab.txt").symlink_to("/proc/kmsg")
    assert first_irregular(tmp_path) == "vocab.txt is one of the kernel's"
    os.mkfifo(tmp_path / "tokenizer.json")
    assert first_irregular(tmp_path) == "tokenizer.json is a named pipe"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "", "nul", "[1,]", b"\xff", b"{\x00", "\ufeff1"]
)
def test_json_that_is_none_is_a_value_error_without_advice(text: str | bytes) -> None:
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert "set_int_max" not in str(caught.value)
