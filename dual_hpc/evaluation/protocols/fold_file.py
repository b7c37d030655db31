"""Folds from a file of names: a CSV file, one line for each speaker, key or whatever its first column is called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.document import Folds
from dual_hpc.evaluation.protocols.document_values import as_text
from dual_hpc.evaluation.protocols.split import part_named
from dual_hpc.files.csv_text import csv_rows
from dual_hpc.files.regular_file import read_bytes


@dataclass(frozen=True)
class NamedFolds:
    """What a file says.

    Attributes:
        by: the column that its names are of.
        folds: name -> fold; empty where it gives parts.
        parts: name -> train, validation or test.
    """

    by: str
    folds: Mapping[str, str]
    parts: Mapping[str, str]


def read_folds(rules: Folds) -> NamedFolds:
    """The file of `folds.file`.

    Raises:
        UserError: it cannot be read, has changed since the configuration was written, or is not such a file.
    """
    path = Path(rules.file or "")
    try:
        content = read_bytes(path)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"data.protocol: folds.file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"data.protocol: folds.file {path} is not UTF-8 text") from error
    if rules.sha256 is not None and hashlib.sha256(content).hexdigest() != rules.sha256:
        raise UserError(f"data.protocol: folds.file {path} is not what it was (its sha256 differs); restore it")
    try:
        rows = list(csv_rows(text))
    except ValueError as error:
        raise UserError(f"data.protocol: folds.file {path}: {error}") from error
    header = [as_text(cell) for cell in rows[0][1]] if rows else []
    if len(header) != 2 or header[1] not in ("fold", "part"):
        raise UserError(
            f"data.protocol: folds.file {path}: the first line should have two columns with a comma between them: key "
            "(or speaker, ...), then fold or part"
        )
    found: dict[str, str] = {}
    if len(rows) == 1:
        raise UserError(f"data.protocol: folds.file {path} has no row below its first line")
    for number, row in rows[1:]:
        if len(row) != 2 or not all(cell.strip() for cell in row):
            raise UserError(f"data.protocol: folds.file {path}: line {number} has no {' and '.join(header)}")
        name, value = as_text(row[0]), row[1].strip()
        part = part_named(value)
        if header[1] == "part" and part is None:
            raise UserError(
                f"data.protocol: folds.file {path}: line {number}: {value!r} is not train, validation or test"
            )
        value = part if header[1] == "part" and part else value
        if found.setdefault(name, value) != value:
            raise UserError(f"data.protocol: folds.file {path}: {row[0].strip()} is in {found[name]} and in {value}")
    return NamedFolds(header[0], *((found, {}) if header[1] == "fold" else ({}, found)))
