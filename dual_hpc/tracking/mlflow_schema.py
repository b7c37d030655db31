"""The tables of MLflow's database and the version of MLflow that is installed, compared without importing MLflow."""

from __future__ import annotations

import re
import shlex
import sqlite3
import sys
from contextlib import closing
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.real_path import real_path

_ASSIGNED = re.compile(r"""^(revision|down_revision)(?:\s*:[^=]+)?\s*=\s*["']?(\w+)["']?""", re.M)


def check_tables(database: Path) -> None:
    """Refuse a sqlite database whose tables are unfinished, or of another version of MLflow: MLflow would answer with a
    traceback, and its server with status 500.

    A file that is not such a database passes: what is wrong with it MLflow says itself.

    Raises:
        EnvironmentFault: says what is wrong with it (which of the two versions is the older one), and what to do.
    """
    found, known = revision_of(database), installed_revisions()
    if found is None and _is_unfinished(database):
        raise EnvironmentFault(
            f"{database} has unfinished tables and no run: MLflow was ended while it created them (or still does: "
            f"wait a minute), and never repairs them. End what uses the file, then run rm {shlex.quote(str(database))}"
        )
    if found is None or not known or found == known[-1]:
        return
    if found in known:
        upgrade = shlex.join([sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{database}"])
        raise EnvironmentFault(
            f"{database} was made by an earlier MLflow than the installed {_installed()}: copy the file, "
            f"then run {upgrade}"
        )
    raise EnvironmentFault(
        f"{database} was made by a later MLflow than the installed {_installed()}: install that one, or "
        "name another store"
    )


def revision_of(database: Path) -> str | None:
    """The revision of the tables as MLflow notes it, which it does last; None where nothing is noted."""
    row = _first_row(database, "SELECT version_num FROM alembic_version")
    return str(row[0]) if row else None


def is_empty(database: Path) -> bool:
    """True for a file without a byte: whoever opens a database and is ended leaves one, and nothing is lost with it."""
    return database.is_file() and database.stat().st_size == 0


def _is_unfinished(database: Path) -> bool:
    """Whether MLflow has begun to create its tables; with a run in them they are those of a very old version."""
    has_runs = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'runs'"
    if _first_row(database, has_runs) is None:
        return _first_row(database, "SELECT 1 FROM sqlite_master WHERE name = 'experiments'") is not None
    return _first_row(database, "SELECT 1 FROM runs") is None


def _first_row(database: Path, query: str) -> tuple[Any, ...] | None:
    """None also where the file is no database, or has no such table."""
    try:
        with closing(sqlite3.connect(f"{real_path(database).as_uri()}?mode=ro", uri=True, timeout=60)) as tables:
            row: tuple[Any, ...] | None = tables.execute(query).fetchone()
    except sqlite3.Error:
        return None
    return row


@lru_cache(maxsize=1)
def installed_revisions() -> tuple[str, ...]:
    """The revisions of the tables that the installed MLflow knows, the one that it works on last; empty: not found."""
    package = find_spec("mlflow")
    folders = list(package.submodule_search_locations or []) if package else []
    files = [file for folder in folders for file in Path(folder, "store/db_migrations/versions").glob("*.py")]
    steps = [dict(_ASSIGNED.findall(file.read_text(encoding="utf-8"))) for file in files]
    after = {step.get("down_revision"): step["revision"] for step in steps if "revision" in step}
    chain: list[str] = []
    next_one = after.get("None")
    while next_one is not None:
        chain.append(next_one)
        next_one = after.get(next_one)
    return tuple(chain)


def _installed() -> str:
    try:
        return version("mlflow")
    except PackageNotFoundError:
        return "one"
