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

from dual_hpc.errors import EnvironmentFault

_ASSIGNED = re.compile(r"""^(revision|down_revision)(?:\s*:[^=]+)?\s*=\s*["']?(\w+)["']?""", re.M)


def check_tables(database: Path) -> None:
    """Refuse a sqlite database whose tables are those of another version of MLflow, which would end in a traceback.

    A file that is not such a database passes: what is wrong with it MLflow says itself.

    Raises:
        EnvironmentFault: says which of the two is the older one, and what to do.
    """
    found, known = revision_of(database), installed_revisions()
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
    """The revision of the tables as MLflow notes it; None where nothing is noted."""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as tables:
            row = tables.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


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
