"""Annotation files as text, whatever was done to their encoding; names from a corpus as plain names."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from dual_hpc.errors import UserError

MEDIA_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".mp4", ".avi", ".mkv", ".mov", ".webm", ".ogg"})


def read_text(path: Path) -> str:
    """A file as text: UTF-8, else cp1252; and cp1252 that was encoded twice (U+0080 to U+009F) is put right."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    return "".join(_once(c) if "\x80" <= c <= "\x9f" else c for c in text)


def _once(character: str) -> str:
    return bytes([ord(character)]).decode("cp1252", errors="replace")


def spoken(text: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def read_csv(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """(header, rows with their line numbers). NUL bytes, which the csv module refuses, are dropped."""
    reader = csv.reader(io.StringIO(read_text(path).replace("\0", ""), newline=""))

    def rows() -> Iterator[tuple[int, list[str]]]:
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:  # a field of more than 128 KiB: usually a quote that never closes
                raise UserError(f"{path}: line {line} cannot be read as CSV ({error})") from error
            if any(cell.strip() for cell in row):
                yield line, row

    lines = rows()
    header = next(lines, (0, []))[1]
    return [name.strip() for name in header], lines


def media_files(folder: Path) -> dict[str, Path]:
    """Media below a folder by stem; `._*` AppleDouble files are none. The first in sorted order wins.

    Links are followed, for a lab's folders may lie on several disks; one that leads back to where it lies is not.
    """
    found: dict[str, Path] = {}
    visited: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in visited:
            folders.clear()
            continue
        visited.add(real)
        folders.sort()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            # A pipe or a dangling link must not stall or stop the packer.
            if (
                not name.startswith(".")
                and suffix.lower() in MEDIA_SUFFIXES
                and os.path.isfile(os.path.join(here, name))
            ):
                found.setdefault(stem, Path(here, name))
    return found


def corpus_root(source: Path, names: tuple[str, ...]) -> Path:
    """The folder that holds the corpus: the given one, or the one in it that has the release's name.

    Raises:
        UserError: the folder does not exist.
    """
    if not source.is_dir():
        raise UserError(f"source: the folder {source} does not exist; give the folder that holds the corpus")
    return next((source / name for name in names if (source / name).is_dir()), source)
