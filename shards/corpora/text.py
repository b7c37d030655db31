"""Annotation files as text and tables, the files of a folder, and the folder that holds a corpus."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.files.csv_text import csv_rows
from dual_hpc.files.file_kind import other_kind, placeholder
from dual_hpc.files.regular_file import read_bytes
from shards.corpora.encoding import decode
from shards.plan import Plan


class TextFiles:
    """Reads a corpus's text files, and remembers what of their encodings had to be guessed.

    Args:
        plan: of the corpus; `tell` adds to its notes.
        encoding: what the user says that the files are; None: UTF-8, UTF-16 with its mark, else a guess.
    """

    def __init__(self, plan: Plan, encoding: str | None) -> None:
        self._plan, self._encoding = plan, encoding
        self._remarks: dict[tuple[str, bool], list[tuple[str, str]]] = {}  # what, is it a guess -> (file, example)

    def read(self, path: Path) -> str:
        """A file as text.

        Raises:
            UserError: it cannot be read, is no text, or is not in the encoding that the user gave.
        """
        try:
            data = read_bytes(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        if (found := placeholder(path) or other_kind(path)) is not None:
            raise UserError(f"{path}: {found}")
        try:
            text, remarks = decode(data, self._encoding)
        except UnicodeError as error:
            line = data[: getattr(error, "start", 0)].count(b"\n") + 1
            raise UserError(f"--encoding: line {line} of {path} is not {self._encoding}; give another one") from error
        except (LookupError, ValueError) as error:
            raise UserError(f"--encoding: there is no encoding {self._encoding!r}; utf-8 and gbk are two") from error
        for remark in remarks:
            files = self._remarks.setdefault((remark.what, remark.is_guess), [])
            files.append((self._plan.shown(path), remark.example))
        return text

    def tell(self) -> None:
        """Add what was guessed to the notes, the files of one kind together."""
        for (what, is_guess), files in self._remarks.items():
            (first, example), more = files[0], len(files) - 1
            others = f" (and so with {more} more files)" if more else ""
            advice = "; if that is wrong, give --encoding or save it as UTF-8" if is_guess else ""
            self._plan.notes.append(f"{first} {what}{others}{f': {example}' if example else ''}{advice}")
        self._remarks.clear()


def clean_line(text: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def parse_csv(path: Path, text: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """(header, rows with their line numbers) of a file's text."""

    def rows() -> Iterator[tuple[int, list[str]]]:
        try:
            yield from csv_rows(text)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error

    lines = rows()
    header = next(lines, (0, []))[1]
    return [name.strip() for name in header], lines


def files_below(folder: Path, broken: list[Path] | None = None) -> Iterator[Path]:
    """Regular files, in order; none that is hidden, like `._*` AppleDouble files, and no pipe, which would never end.

    Links are followed, for a lab's folders may lie on several disks; one that leads back to where it lies is not.

    Args:
        broken: gets the links to nothing that lie there.
    """
    visited: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in visited:
            folders.clear()
            continue
        visited.add(real)
        folders.sort()
        for name in sorted(names):
            path = os.path.join(here, name)
            if name.startswith("."):
                continue
            if os.path.isfile(path):
                yield Path(path)
            elif broken is not None and os.path.islink(path) and not os.path.exists(path):
                broken.append(Path(path))


def corpus_root(source: Path, names: tuple[str, ...]) -> Path:
    """The folder that holds the corpus: the given one, or the one in it that has the release's name.

    Raises:
        UserError: it is not a folder.
    """
    if not source.is_dir():
        if (kind := other_kind(source)) is not None:
            raise UserError(f"source: {source} {kind}; unpack it and give the folder")
        what = f"{source} is not a folder" if source.exists() else f"the folder {source} does not exist"
        raise UserError(f"source: {what}; give the folder that holds the corpus")
    # Absolute: reports remove it from the names of its files, and "a/" may occur anywhere in a path.
    root = source.absolute()
    return next((root / name for name in names if (root / name).is_dir()), root)
