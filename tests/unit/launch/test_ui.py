"""`dual-hpc ui`: MLflow for its user, and for nobody else."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import Journal
from dual_hpc.tracking.mlflow_sync import sync
from launch.cli import main as command
from launch.cluster.code_archive import ROOT
from tests.unit.other_user import as_other_user, needs_root
from tests.unit.tracking.runs import make_run


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run in MLflow, with an artifact."""
    run = make_run(tmp_path_factory.mktemp("ui") / "store", "seen")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"train/loss": 1.5})
    sync(run)
    return run


@pytest.fixture
def store(tracked: RunDir) -> str:
    return str(tracked.path.parents[1])


def test_a_port_that_is_taken_or_no_port_is_refused(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        for port, said in (
            (number, f"--port {number} is taken"),
            (99999, "between 0 and 65535"),
            (-1, "between 0 and 65535"),
        ):
            assert command.main(["ui", "--print", "--store", store, "--port", str(port)]) == 2
            line = capfd.readouterr().err
            assert said in line and line.count("\n") == 1


def test_without_a_port_one_that_is_free_is_taken(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(["ui", "--print", "--store", store]) == 0
    printed = capfd.readouterr().out
    assert "--host 127.0.0.1 --port " in printed


@pytest.fixture(scope="module")
def started(tracked: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """A real server: the lines that it printed, its address with the token, and the folder it was started in."""
    folder = tmp_path_factory.mktemp("here")
    command = [sys.executable, "-m", "launch.cli.main", "ui", "--store", str(tracked.path.parents[1])]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as server:
        first, second = server.stdout.readline(), server.stdout.readline()
        yield first + second, first.split()[3], folder
        server.send_signal(signal.SIGINT)
        assert server.wait(60) in (0, 130)


def test_its_user_sees_runs_and_artifacts_by_the_printed_address(
    started: tuple[str, str, Path], tracked: RunDir
) -> None:
    said, address, folder = started
    port = urlsplit(address).port
    assert f"ssh -N -L {port}:127.0.0.1:{port} " in said
    browser = requests.Session()
    page = browser.get(address, timeout=120)
    assert page.status_code == 200 and "token" not in urlsplit(page.url).query and "<html" in page.text
    assert all(cookie.has_nonstandard_attr("HttpOnly") for cookie in browser.cookies)
    api = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow"
    experiment = urlsplit(address).fragment.split("/")[2]
    found = browser.post(f"{api}/runs/search", json={"experiment_ids": [experiment]}, timeout=60).json()["runs"]
    assert [run["info"]["run_name"] for run in found] == ["seen"]
    run_id = found[0]["info"]["run_id"]
    listed = browser.get(f"{api}/artifacts/list", params={"run_id": run_id}, timeout=60).json()["files"]
    assert {"config.yaml", "reports"} <= {file["path"] for file in listed}
    where = {"run_uuid": run_id, "path": "config.yaml"}
    got = browser.get(f"http://127.0.0.1:{port}/get-artifact", params=where, timeout=60)
    assert got.content == tracked.config_file.read_bytes()
    before = sorted(tracked.path.parents[1].rglob("*.txt"))
    upload = browser.put(f"http://127.0.0.1:{port}/api/2.0/mlflow-artifacts/artifacts/a.txt", data=b"x", timeout=60)
    assert upload.status_code >= 400 and sorted(tracked.path.parents[1].rglob("*.txt")) == before
    assert list(folder.iterdir()) == []  # nothing is written where it was started


GUESSES = (("Authorization", "Bearer guess"), ("Authorization", "Basic Og=="), ("Cookie", "dual-hpc-{port}=guess"))
PATHS: dict[str, bytes | None] = {
    **dict.fromkeys(("/", "/health", "/?token=guess", "/get-artifact?path=a&run_uuid=b"), None),
    **dict.fromkeys(("/ajax-api/2.0/mlflow/experiments/search?max_results=1", "/ajax-api/3.0/mlflow/assistant/config")),
    "/api/2.0/mlflow/experiments/create": b'{"name": "mine"}',
}


@needs_root
def test_nobody_else_is_answered(started: tuple[str, str, Path]) -> None:
    port = urlsplit(started[1]).port

    def ask() -> set[int]:
        answers = set()
        for (path, data), (header, value) in itertools.product(PATHS.items(), GUESSES):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data)
            request.add_header(header, value.format(port=port))
            try:
                answers.add(urllib.request.urlopen(request, timeout=60).status)
            except urllib.error.HTTPError as error:
                answers.add(error.code)
        return answers

    assert as_other_user(ask) == "{401}"


def test_a_client_brings_the_token_in_its_environment(
    started: tuple[str, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    address = urlsplit(started[1])
    client = MlflowClient(f"http://127.0.0.1:{address.port}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", address.query.removeprefix("token="))
    assert [experiment.name for experiment in client.search_experiments()].count("dual") == 1
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "guess")
    with pytest.raises(Exception, match="401"):
        client.search_experiments()


def test_the_token_is_in_no_argument_that_others_see(started: tuple[str, str, Path]) -> None:
    token = urlsplit(started[1]).query.removeprefix("token=").encode()
    assert len(token) >= 32
    seen = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert token not in seen
