"""Where MLflow's data are, for one writer at a time.

Four processes that create a sqlite store at once break it for good, and sqlite on a network file system does not take
several writers: every use of a sqlite store happens under one file lock next to the database.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dual_hpc.config import RunConfig
from dual_hpc.config.paths import mlflow_uri
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.locks import LocksUnsupported, file_lock
from dual_hpc.files.ownership import is_writable, owner
from dual_hpc.files.real_path import real_path
from dual_hpc.files.umask import share
from dual_hpc.tracking.mlflow_schema import check_tables, is_empty

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"
_SERVER_FAILED = "too many 500 error responses"  # what its client says


@dataclass(frozen=True)
class Store:
    """An MLflow tracking store.

    Attributes:
        uri: sqlite:///... or http(s)://...
        database: the sqlite file; None for a server.
    """

    uri: str
    database: Path | None

    @property
    def artifacts(self) -> str | None:
        """Artifact root for new experiments: next to the database; a server decides for itself."""
        return None if self.database is None else (self.database.parent / ARTIFACTS).as_uri()

    def check_writable(self) -> None:
        """Refuse a database that this user may not write: MLflow would print pages about it.

        Raises:
            EnvironmentFault: names its owner, and what to ask for.
        """
        if self.database is None:
            return
        for path in (self.database.parent, self.database, _lock_file(self.database)):
            if path.exists() and not is_writable(path):
                raise EnvironmentFault(
                    f"{path} cannot be written by you: ask {owner(path)} for `chmod g+w {path}`, or set tracking.uri "
                    "to another database"
                )

    @contextmanager
    def client(self, run: Path | None = None, timeout: float = 60.0) -> Iterator[MlflowClient]:
        """A client; for a sqlite store the only one at this time, for a server the only one of the run.

        Args:
            run: the folder of the run that is written; two writers would create it twice.
            timeout: seconds to wait for another writer.

        Raises:
            EnvironmentFault: another writer holds the store's lock, its file system has no locks, the database is
                unfinished or of another version of MLflow, or the server answers with errors of its own.
        """
        _import_mlflow()  # takes seconds; nobody should wait for the lock meanwhile
        if self.database is not None:
            self.database.parent.mkdir(parents=True, exist_ok=True)
            self.check_writable()
            lock: AbstractContextManager[None] = _database_lock(self.database, timeout)
        else:
            lock = nullcontext() if run is None else file_lock(run / ".sync.lock", timeout, required=False)
        with lock, _explained(self.uri):
            if self.database is not None and (not self.database.exists() or is_empty(self.database)):
                _create(self.database)
            elif self.database is not None:
                check_tables(self.database)
            yield _client(self.uri)


def store_of(config: RunConfig) -> Store:
    """The store a run is tracked in: `tracking.uri`, or the sqlite database of `store`."""
    uri = _without_login(config.tracking.uri) or mlflow_uri(Path(config.store))
    if uri.startswith(_SQLITE):
        if {"?", "%"} & set(uri):  # they mean something in an address: another file would be written
            setting = "tracking.uri" if config.tracking.uri else "store"
            raise UserError(f"{setting}: MLflow's database cannot lie in a path with ? or % ({uri})")
        return Store(uri, real_path(uri.removeprefix(_SQLITE)))
    if uri.startswith(("http://", "https://")):
        return Store(uri, None)
    raise UserError(
        f"tracking.uri: {uri!r} is neither sqlite:///FILE nor http(s)://HOST; leave it empty for the store's"
    )


def _without_login(uri: str) -> str:
    """The address without user and password, which go where MLflow looks for them: only older runs have any there."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return uri
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    for name, value in (("USERNAME", user), ("PASSWORD", password)):
        os.environ.setdefault(f"MLFLOW_TRACKING_{name}", unquote(value))
    return parts._replace(netloc=host).geturl()


def experiment_id(client: MlflowClient, store: Store, name: str) -> str:
    """The experiment's id; it is made on first use.

    Raises:
        UserError: it was deleted in MLflow.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        # Links within the interface follow the kind: to training, not to conversations with language models.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        try:
            return str(client.create_experiment(name, artifact_location=store.artifacts, tags=kind))
        except Exception:  # of many jobs that begin at once, one creates it
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise UserError(f"tracking.experiment: {name!r} was deleted in MLflow; restore it or choose another name")
    return str(found.experiment_id)


def newest_experiment(database: Path) -> str | None:
    """The experiment that has the latest run, read without MLflow: its import takes seconds. None: no run."""
    import sqlite3

    latest = "SELECT experiment_id FROM runs WHERE lifecycle_stage = 'active' ORDER BY start_time DESC LIMIT 1"
    try:
        with closing(sqlite3.connect(f"{real_path(database).as_uri()}?mode=ro", uri=True)) as tables:
            row = tables.execute(latest).fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def _create(database: Path) -> None:
    """Make the tables in another file, then rename it: MLflow takes seconds, and never repairs half-made tables."""
    for leftover in database.parent.glob(f"{database.stem}.*.fresh*"):
        leftover.unlink()
    fresh = database.with_suffix(f".{uuid.uuid4().hex}.fresh")  # MLflow keeps a connection to each name it has met
    _client(f"{_SQLITE}{fresh}").search_experiments(max_results=1)
    share(fresh)  # sqlite never lets a group write
    os.replace(fresh, database)
    for folder in (database.parent / ARTIFACTS, database.parent / ARTIFACTS / "models"):
        with suppress(FileExistsError):
            folder.mkdir()
            share(folder)


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """A server whose database is damaged, or half created, answers everything with status 500: say what to do."""
    try:
        yield
    except Exception as error:  # MLflow's own
        if _SERVER_FAILED not in str(error):
            raise
        raise EnvironmentFault(
            f"{uri} answers with an error of its own (status 500), which its log explains. If that server was ended "
            "while it created its database, move that file away and start it again; no run is lost, `dual-hpc sync` "
            "sends everything again"
        ) from error


def _client(uri: str) -> MlflowClient:
    return _import_mlflow().MlflowClient(tracking_uri=uri)


def _import_mlflow() -> ModuleType:
    # By default MLflow retries a dead server for minutes; the journal keeps everything, so failing soon costs nothing.
    # Its migrations and models write to stderr, where progress bars are.
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "20"),
        ("MLFLOW_LOGGING_LEVEL", "WARNING"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("GIT_PYTHON_REFRESH", "quiet"),
    ):
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    import mlflow

    return mlflow


def _lock_file(database: Path) -> Path:
    return database.with_suffix(".lock")


@contextmanager
def _database_lock(database: Path, timeout: float) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            is_new = not _lock_file(database).exists()
            stack.enter_context(file_lock(_lock_file(database), timeout))
            if is_new:
                with suppress(OSError):  # a colleague was faster
                    share(_lock_file(database))
        except LocksUnsupported as error:
            raise EnvironmentFault(
                f"{error}, so no sqlite store may be written there; set tracking.uri to a server, or sync from a "
                "machine where the folder is local"
            ) from error
        yield
