"""Whatever way a password takes into a command, no byte that is written holds it, and nobody else reads a log."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from dual_hpc.config import load_config
from dual_hpc.credentials import without_secrets
from dual_hpc.errors import reason_of
from dual_hpc.run.journal import Journal
from dual_hpc.tracking import mlflow_sync
from dual_hpc.tracking.mlflow_store import store_of
from dual_hpc.tracking.synchroniser import Synchroniser
from launch.cli import main as command
from launch.cli.trace import log_path
from launch.cluster.code_archive import ROOT
from tests.unit.tracking.runs import make_run

SECRETS = ("S3cret-w0rd", "p@ss:S3cret", "S3cret w0rd", "a/S3cret/b", "S3cret%20x", "ümlaut-S3cret", "*S3cret+?=x*")
DEAD = "127.0.0.1:9"  # nobody listens there


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "")  # so that it is put back whatever a test sets
        monkeypatch.delenv(name)


def holders(folder: Path, secret: str) -> list[Path]:
    """The files that hold it, as it is or as it is written in an address."""
    words = {secret.encode(), quote(secret).encode(), quote(secret, safe="").encode()}
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if any(word in path.read_bytes() for word in words)]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("verb", [["train"], ["submit", "--dry-run"], ["sweep", "--grid", "seeds=0,1"]])
def test_a_refused_configuration_leaves_no_secret_behind(
    verb: list[str], secret: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for setting in (
        f"tracking.uri=http://bob:{secret}@{DEAD}",
        f"tracking.uri=ftp://{secret}@{DEAD}",
        f"tracking.uri=https://{DEAD}/?access_token={quote(secret)}",
        f"tracking.tags.link=http://bob:{quote(secret, safe='')}@{DEAD}",
        f"tracking.tags.api_key={quote(secret)}",
        f"tracking.urri=http://bob:{secret}@{DEAD}",
        f"optim.lr=http://bob:{secret}@{DEAD}",
    ):
        assert command.main([*verb, "--preset", "demo", f"store={tmp_path / 'store'}", setting]) == 2
        said = capfd.readouterr()
        assert "S3cret" not in said.out + said.err and said.err.count("\n") == 1
    assert holders(tmp_path, "S3cret") == [] and not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "line",
    [
        "environment: {WANDB_API_KEY: S3cret-w0rd}",
        "environment: {PROXY: 'http://bob:S3cret-w0rd@proxy:3128'}",
        "setup: ['export HF_TOKEN=S3cret-w0rd']",
        "extra: {comment: 'http://bob:S3cret-w0rd@host'}",
    ],
)
def test_a_secret_in_a_profile_is_refused(line: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(f"{line}\n")
    words = ["submit", "--profile", str(tmp_path / "mine.yaml"), "--dry-run", "--", "pack", "meld", "x", "--out", "y"]
    assert command.main(words) == 2
    said = capfd.readouterr()
    assert "S3cret" not in said.out + said.err and "mine.yaml" in said.err and said.err.count("\n") == 1
    assert holders(tmp_path / "state", "S3cret") == []


def test_a_run_that_is_tracked_with_a_password_holds_it_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "S3cret-w0rd")
    run = make_run(tmp_path / "store", "one", f"tracking.uri=http://{DEAD}")
    with Journal(run.journal) as journal:
        journal.metrics(1, {"train/loss": 1.5})
    with caplog.at_level(logging.DEBUG):
        assert not Synchroniser(run, 0.1).start().close(timeout=60)
    assert "MLflow is not up to date" in caplog.text and "S3cret" not in caplog.text
    assert command.main(["sync", "one", "--store", str(tmp_path / "store")]) == 1
    assert log_path().stat().st_mode & 0o777 == 0o600
    assert holders(tmp_path, "S3cret") == []


def test_the_login_of_an_older_run_stays_in_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which cannot be helped; it goes neither to MLflow nor into messages, and the run is still tracked."""
    run = make_run(tmp_path / "store", "old")
    written = yaml.safe_load(run.config_file.read_text())
    written["tracking"]["uri"] = f"http://bob:S3cret-w%40rd@{DEAD}"
    run.config_file.write_text(yaml.safe_dump(written))
    store = store_of(run.config())
    assert store.uri == f"http://{DEAD}"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("bob", "S3cret-w@rd")
    with pytest.raises(Exception) as caught:
        mlflow_sync.sync(run)
    assert "S3cret" not in reason_of(caught.value)
    assert "S3cret" not in without_secrets("".join(traceback.format_exception(caught.value)))
    local = store_of(load_config("demo", [f"store={tmp_path / 'mlflow'}"]))
    monkeypatch.setattr(mlflow_sync, "store_of", lambda config: local)
    mlflow_sync.sync(run)
    assert (tmp_path / "mlflow" / "mlflow.db").exists() and list((tmp_path / "mlflow").rglob("config.yaml"))
    assert holders(tmp_path / "mlflow", "S3cret") == []


REDIRECT = """
import sys
from pathlib import Path
from launch.job.rank import redirect_output
print("before")
redirect_output(Path(sys.argv[1]))
print("after")
"""


def test_a_log_is_its_user_s_alone(tmp_path: Path) -> None:
    log, before = tmp_path / "logs" / "rank_0000.log", tmp_path / "7_0_log.out"
    log.parent.mkdir()
    log.touch(0o666)  # of a start by an earlier version
    with open(before, "w") as out:
        subprocess.run(
            [sys.executable, "-c", REDIRECT, log], stdout=out, stderr=out, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    assert (before.read_text(), log.read_text()) == ("before\n", "after\n")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (log, before)] == [0o600, 0o600]
