"""A database of another version of MLflow is refused in one line that says what to do, by whatever opens it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault
from dual_hpc.tracking import mlflow_schema
from dual_hpc.tracking.mlflow_schema import check_tables, installed_revisions, revision_of
from dual_hpc.tracking.mlflow_store import Store
from launch.cli.main import main


def database_of(folder: Path, revision: str) -> Path:
    """What MLflow's database is for this purpose: one table with one row."""
    database = folder / "a b" / "mlflow.db"
    database.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(database)) as tables:
        tables.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        tables.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        tables.commit()
    return database


@pytest.fixture(params=["check", "client", "ui"])
def opened(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], str]:
    """Open a database in one of the ways there are, and return what was said."""

    def open_it(database: Path) -> str:
        if request.param == "ui":
            assert main(["ui", "--store", str(database.parent)]) == 1
            return capsys.readouterr().err
        with pytest.raises(EnvironmentFault) as failure:
            if request.param == "check":
                check_tables(database)
            with Store(f"sqlite:///{database}", database).client():
                pass
        return str(failure.value)

    return open_it


def test_tables_of_an_earlier_mlflow_are_upgraded_by_the_command_that_is_named(
    opened: Callable[[Path], str], tmp_path: Path
) -> None:
    database = database_of(tmp_path, installed_revisions()[-2])
    said = opened(database).strip()
    assert "earlier MLflow" in said and "\n" not in said
    assert said.endswith(f"run {sys.executable} -m mlflow db upgrade 'sqlite:///{database}'")


def test_tables_of_a_later_mlflow_are_not_called_out_of_date(opened: Callable[[Path], str], tmp_path: Path) -> None:
    said = opened(database_of(tmp_path, "f" * 12))
    assert "later MLflow" in said and "upgrade" not in said


# What a kill leaves: the first tables, with or without the table that notes the revision, which is empty until the end.
UNFINISHED = {
    "one table": ["CREATE TABLE experiments (experiment_id INTEGER)"],
    "the first tables": ["CREATE TABLE experiments (experiment_id INTEGER)", "CREATE TABLE runs (run_uuid TEXT)"],
    "half of the steps": [
        "CREATE TABLE experiments (experiment_id INTEGER)",
        "CREATE TABLE runs (run_uuid TEXT)",
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
    ],
}


@pytest.mark.parametrize("statements", UNFINISHED.values(), ids=UNFINISHED)
def test_tables_whose_creation_was_killed_are_refused_with_what_to_do(
    opened: Callable[[Path], str], tmp_path: Path, statements: list[str]
) -> None:
    database = tmp_path / "a b" / "mlflow.db"
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as tables:
        for statement in statements:
            tables.execute(statement)
        tables.commit()
    said = opened(database).strip()
    assert "unfinished tables" in said and "\n" not in said
    assert said.endswith(f"run rm '{database}'")


def test_tables_of_long_ago_with_a_run_in_them_are_not_called_unfinished(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as tables:
        for statement in (*UNFINISHED["the first tables"], "INSERT INTO runs VALUES ('a')"):
            tables.execute(statement)
        tables.commit()
    check_tables(tmp_path / "mlflow.db")  # MLflow says itself which command upgrades them


def test_the_tables_that_the_installed_mlflow_makes_are_the_last_it_knows(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    for _ in range(2):
        with Store(f"sqlite:///{database}", database).client() as client:
            assert client.search_experiments()
    assert revision_of(database) == installed_revisions()[-1]


@pytest.mark.parametrize("content", [b"", b"half a database"])
def test_what_is_no_database_of_mlflow_s_is_left_to_mlflow(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    check_tables(tmp_path / "mlflow.db")
    check_tables(tmp_path / "absent.db")


def test_without_mlflow_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_schema, "installed_revisions", lambda: ())
    check_tables(database_of(tmp_path, "f" * 12))
