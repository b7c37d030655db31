"""The sqlite store of runs, and who may write to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.run.journal import Journal
from dual_hpc.tracking.mlflow_store import Store, experiment_id, newest_experiment, store_of
from tests.unit.other_user import as_other_user, needs_root, open_folder
from tests.unit.tracking.runs import history, make_run

pytestmark = pytest.mark.slow


def test_a_store_whose_creation_was_killed_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlflow.db")

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", killed)
        with store.client():
            pass
    (tmp_path / "mlflow.0.fresh").write_bytes(b"half a database")
    with store.client() as client:
        assert client.search_experiments()
    assert not list(tmp_path.glob("*.fresh*"))


KILLED_WITHIN_THE_TABLES = """
import os, signal, sys
from alembic.operations import Operations
import mlflow

add = Operations.add_column

def add_and_die(*arguments, **named):
    add(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)

Operations.add_column = add_and_die
mlflow.MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}").search_experiments()
"""


def test_a_database_in_which_mlflow_itself_was_killed_is_told_in_one_line_and_made_anew_once_removed(
    tmp_path: Path,
) -> None:
    database = tmp_path / "mlflow.db"
    store = Store(f"sqlite:///{database}", database)
    killed = subprocess.run([sys.executable, "-c", KILLED_WITHIN_THE_TABLES, str(database)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(EnvironmentFault, match="unfinished tables") as failure, store.client():
        pass
    assert str(failure.value).endswith(f"then run rm {database}")
    database.unlink()
    with store.client() as client:
        assert client.search_experiments()


def test_a_file_without_a_byte_becomes_a_database_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "mlflow.db"
    database.touch()
    renamed: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (renamed.append(str(target)), replace(source, target)))
    with Store(f"sqlite:///{database}", database).client() as client:
        assert client.search_experiments()
    assert renamed == [str(database)]


def test_a_server_that_only_answers_with_its_own_errors_is_told_with_what_to_do(tmp_path: Path) -> None:
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(EnvironmentFault, match="status 500") as failure, Store(uri, None).client() as client:
            client.get_experiment_by_name("dual")
        server.shutdown()
    assert str(failure.value).startswith(uri) and "move that file away" in str(failure.value)


def test_the_newest_run_says_which_experiment_to_show(tmp_path: Path) -> None:
    database = tmp_path / "a b é" / "mlflow.db"
    assert newest_experiment(database) is None
    with Store(f"sqlite:///{database}", database).client() as client:
        assert newest_experiment(database) is None
        old, new = (client.create_experiment(name) for name in ("old", "new"))
        for experiment, start in ((old, 1), (new, 3), (old, 2)):
            client.create_run(experiment, start_time=start)
        assert newest_experiment(database) == new
        client.delete_run(client.search_runs([new])[0].info.run_id)
        assert newest_experiment(database) == old
    (tmp_path / "torn.db").write_bytes(b"half a database")
    assert newest_experiment(tmp_path / "torn.db") is None


def test_processes_that_create_the_store_at_once_do_not_break_it(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, f"r{n}") for n in range(2)]
    for run in runs:
        with Journal(run.journal) as journal:
            journal.metrics(1, {"loss": 1.0}, time_ms=7)
    program = (
        "import sys; from dual_hpc.tracking import mlflow_store as s, mlflow_sync as m\n"
        "s.Store.client.__wrapped__.__defaults__ = (None, 500)  # a busy machine takes long\n"
        "m.sync(m.RunDir.open(sys.argv[1]), artifacts=False)"
    )
    workers = [subprocess.Popen([sys.executable, "-c", program, str(run.path)]) for run in runs]
    assert [worker.wait(600) for worker in workers] == [0, 0]
    assert [history(run, "loss") for run in runs] == [[(1, 1.0, 7)]] * 2


def test_a_store_kept_by_another_writer_is_given_up_after_a_while(store: Path) -> None:
    held = store_of(make_run(store, "held").config())
    with held.client(), pytest.raises(EnvironmentFault, match="has kept the lock"), held.client(timeout=0.2):
        pass


def test_two_writers_of_one_run_take_turns_at_a_server_as_well(store: Path) -> None:
    server = store_of(make_run(store, "turns", "tracking.uri=http://127.0.0.1:9").config())
    one, other = make_run(store, "one"), make_run(store, "other")
    refused = pytest.raises(EnvironmentFault, match="has kept the lock")
    with server.client(one.path), server.client(other.path), refused, server.client(one.path, timeout=0.2):
        pass


def test_an_experiment_that_another_job_creates_at_the_same_moment_is_found(store: Path) -> None:
    from mlflow import MlflowClient

    class Late(MlflowClient):
        """Sees the experiment only once somebody has failed to create it."""

        failed = False

        def create_experiment(self, *args: Any, **options: Any) -> Any:
            self.failed = True
            return super().create_experiment(*args, **options)

        def get_experiment_by_name(self, name: str) -> Any:
            return super().get_experiment_by_name(name) if self.failed else None

    ours = store_of(make_run(store, "first").config())
    with ours.client():
        made = experiment_id(MlflowClient(ours.uri), ours, "crowd")
        assert experiment_id(Late(ours.uri), ours, "crowd") == made


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "databricks", "mlruns"])
def test_a_store_that_mlflow_no_longer_offers_is_refused_by_setting(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri"):
        store_of(load_config("demo", [f"store={tmp_path}", f"tracking.uri={uri}"]))


@pytest.mark.parametrize(("folder", "uri"), [("a?b", ""), ("a%20b", ""), ("a", "sqlite:///x.db?timeout=9")])
def test_a_path_that_an_address_cannot_hold_is_refused_before_another_file_is_written(
    tmp_path: Path, folder: str, uri: str
) -> None:
    config = load_config("demo", [f"store={tmp_path / folder}", f"tracking.uri={uri!r}"])
    with pytest.raises(UserError, match=r"path with \? or %"):
        store_of(config)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("umask", [0o002, 0o027])
def test_the_database_is_shared_as_the_user_s_umask_says_also_by_a_job_whose_run_is_not(
    umask: int, tmp_path: Path
) -> None:
    """sqlite makes files that no group can write; a job takes that right from all that it makes."""
    program = (
        "import sys; from pathlib import Path\n"
        "from dual_hpc.files.umask import keep_new_files_private; from dual_hpc.tracking.mlflow_store import Store\n"
        "keep_new_files_private(); database = Path(sys.argv[1])\n"
        "with Store(f'sqlite:///{database}', database).client() as client: client.create_experiment('a')\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "mlflow.db"], check=True, umask=umask)
    rights = {"mlflow.db": 0o666, "mlflow.lock": 0o666, "mlartifacts": 0o777, "mlartifacts/models": 0o777}
    assert {name: (tmp_path / name).stat().st_mode & 0o777 for name in rights} == {
        name: mode & ~umask for name, mode in rights.items()
    }


@needs_root
def test_a_database_that_only_its_owner_may_write_is_refused_in_one_line() -> None:
    with open_folder() as folder:
        database = folder / "mlflow.db"
        with Store(f"sqlite:///{database}", database).client():
            pass

        def write() -> None:
            refused = pytest.raises(EnvironmentFault, match=r"cannot be written by you: ask root for `chmod g.w ")
            with refused, Store(f"sqlite:///{database}", database).client():
                pass

        assert as_other_user(write) == "None"
