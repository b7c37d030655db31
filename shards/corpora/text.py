"""Annotation files as text, whatever was done to their encoding; names from a corpus as plain names."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.file_kind import placeholder
from dual_hpc.regular_file import read_bytes

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
MEDIA_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".mp4", ".avi", ".mkv", ".mov", ".webm", ".ogg"})


def read_text(path: Path) -> str:
    """A file as text: UTF-8, UTF-16 with its mark, else cp1252.

    cp1252 that was encoded twice (U+0080 to U+009F) is corrected.
    """
    try:
        data = read_bytes(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if (found := placeholder(path)) is not None:
        raise UserError(f"{path}: {found}")
    try:
        text = data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    return "".join(_once(c) if "\x80" <= c <= "\x9f" else c for c in text)


def _once(character: str) -> str:
    return bytes([ord(character)]).decode("cp1252", errors="replace")


def clean_line(text: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def parse_csv(path: Path, text: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """(header, rows with their line numbers) of a file's text. NUL, which the csv module refuses, is dropped."""
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""))

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


def files_below(folder: Path) -> Iterator[Path]:
    """Regular files, in order; none that is hidden, like `._*` AppleDouble files, and no pipe, which would never end.

    Links are followed, for a lab's folders may lie on several disks; one that leads back to where it lies is not.
    """
    visited: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in visited:
            folders.clear()
            continue
        visited.add(real)
        folders.sort()
        for name in sorted(names):
            if not name.startswith(".") and os.path.isfile(os.path.join(here, name)):
                yield Path(here, name)


def media_files(folder: Path) -> dict[str, Path]:
    """Media below a folder by stem; of several the first is taken."""
    found: dict[str, Path] = {}
    for path in files_below(folder):
        if path.suffix.lower() in MEDIA_SUFFIXES:
            found.setdefault(path.stem, path)
    return found


def corpus_root(source: Path, names: tuple[str, ...]) -> Path:
    """The folder that holds the corpus: the given one, or the one in it that has the release's name.

    Raises:
        UserError: it is not a folder.
    """
    if not source.is_dir():
        what = f"{source} is not a folder" if source.exists() else f"the folder {source} does not exist"
        raise UserError(f"source: {what}; give the folder that holds the corpus")
    # Absolute: reports remove it from the names of its files, and "a/" may occur anywhere in a path.
    root = source.absolute()
    return next((root / name for name in names if (root / name).is_dir()), root)
