"""Folds from a file of names: a CSV file, one line for each speaker, key or whatever its first column is called."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.document import Folds, as_text
from dual_hpc.files.regular_file import read_bytes

_PARTS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}


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
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    header = [as_text(cell) for cell in rows[0]] if rows else []
    if len(header) != 2 or header[1] not in ("fold", "part"):
        raise UserError(
            f"data.protocol: folds.file {path}: the first line should have two columns: key (or speaker, ...), then "
            "fold or part"
        )
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != 2 or not all(cell.strip() for cell in row):
            raise UserError(f"data.protocol: folds.file {path}: row {number} has no {' and '.join(header)}")
        name, value = as_text(row[0]), row[1].strip()
        if header[1] == "part" and value.lower() not in _PARTS:
            raise UserError(
                f"data.protocol: folds.file {path}: row {number}: {value!r} is not train, validation or test"
            )
        value = _PARTS[value.lower()] if header[1] == "part" else value
        if found.setdefault(name, value) != value:
            raise UserError(f"data.protocol: folds.file {path}: {row[0].strip()} is in {found[name]} and in {value}")
    return NamedFolds(header[0], *((found, {}) if header[1] == "fold" else ({}, found)))
