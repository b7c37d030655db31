"""One entry of a store that cannot be read is shown with its reason, and every other as ever."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from launch.cli.main import main
from launch.cluster.profiles import load_profile
from launch.commands import status as command_status
from launch.commands.job_dir import DESCRIPTION, JobDescription, JobDir
from launch.records import submissions
from launch.runs import status
from launch.sweeps.grid import SweepDir, folder, grid

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two runs, two jobs and a sweep of two members."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DUAL_STORE", str(tmp_path))
    for module in (status, command_status):
        monkeypatch.setattr(module, "available", lambda: False)
    sweep = SweepDir(folder(tmp_path, "cv"), grid("cv", ["seeds=0..1"]))
    request = load_config("demo", ["launch.profile=dev"]).launch
    for number, name in enumerate(["good", "odd", *(run.path.name for run in sweep.runs())]):
        config = load_config("demo", [f"name={name}", f"store={tmp_path}"])
        run = RunDir.create(tmp_path / "runs" / name, config)
        entry = submissions.Entry(event="submit", job_id=str(number), request=request, profile=load_profile("dev"))
        submissions.record(run.path, entry)
    for _ in range(2):
        job = JobDir.make(tmp_path, "pack")
        job.save(JobDescription(words=["pack"], job_ids=["8"], folder="/", profile="dev", request=request))
    sweep.path.mkdir(parents=True)
    sweep.save()
    return tmp_path


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        path.unlink(missing_ok=True)
        make(path)

    return damage


def changed(**values: object) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


UNREADABLE = {
    "pipe": instead(os.mkfifo),
    "device": instead(lambda path: path.symlink_to("/dev/zero")),
    "terminal": instead(lambda path: path.symlink_to("/dev/tty")),
    "folder": instead(Path.mkdir),
    "dangling": instead(lambda path: path.symlink_to("nothing")),
    "loop": instead(lambda path: path.symlink_to(path.name)),
    "huge": lambda path: os.truncate(path, 10**13),
    "random": content(bytes(range(256))),
    "deep": content(b"[" * 100_000),
    "empty": content(b""),
}


@pytest.mark.parametrize("damage", [*UNREADABLE.values(), changed(name=3), changed(created="x")])
def test_a_run_without_a_readable_identity(
    damage: Callable[[Path], object], store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(store / "runs" / "odd" / "run.json")
    _others_are_shown("odd", capfd)


@pytest.mark.parametrize("name", ["segments.jsonl", "submissions.jsonl", "journal.jsonl"])
@pytest.mark.parametrize("damage", ["pipe", "device", "folder", "huge"])
def test_a_run_without_readable_records(damage: str, name: str, store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (store / "runs" / "odd" / name).touch()
    UNREADABLE[damage](store / "runs" / "odd" / name)
    _others_are_shown("odd", capfd)


@pytest.mark.parametrize("damage", [*UNREADABLE.values(), changed(words=[]), changed(job_ids=[]), changed(request=3)])
def test_a_job_that_is_not_described(
    damage: Callable[[Path], object], store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(store / "jobs" / "pack-1" / DESCRIPTION)
    _others_are_shown("pack-1", capfd)


def test_a_job_whose_tasks_cannot_be_read(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(store / "jobs" / "pack-1" / "tasks.jsonl")
    _others_are_shown("pack-1", capfd)


@pytest.mark.parametrize("name", ["segments.jsonl", "submissions.jsonl", "journal.jsonl", "logs/failures.jsonl"])
def test_a_member_that_cannot_be_read_is_a_row_of_its_sweep(
    name: str, store: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = store / "runs" / "cv.seed-0" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert main(["status", "cv", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert [row["state"] for row in shown["members"]] == ["unreadable", "submitted"]
    assert "cv.seed-0" in caplog.text and "pipe" in caplog.text
    for verb in (["sweep", "--show", "cv"], ["why", "cv"], ["status", "cv"]):
        assert main(verb) == 0, verb
        assert "unreadable" in capfd.readouterr().out


def test_names_and_words_of_strangers_do_nothing_to_the_terminal(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (store / "runs" / "odd").rename(store / "runs" / "o\x1b]0;owned\x07\r\u202ed\udce9")
    changed(words=["pack", "\x9b2J"], profile="\x1b[1m")(store / "jobs" / "pack-1" / DESCRIPTION)
    assert main(["runs"]) == 0
    shown = capfd.readouterr()
    assert not set("\x1b\x9b\r\u202e\x07") & set(shown.out + shown.err) and "good" in shown.out
    assert main(["runs", "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert "o\x1b]0;owned\x07\r\u202ed\udce9" in [row["name"] for row in rows]


def _others_are_shown(bad: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json"]) == 0
    shown = capfd.readouterr()
    rows = [json.loads(line) for line in shown.out.splitlines()]
    rest = {"good", "odd", "pack-1", "pack-2", "cv.seed-0", "cv.seed-1"} - {bad}
    assert {row["name"] for row in rows if row["kind"] != "unreadable"} >= rest
    (unreadable,) = [row for row in rows if row["kind"] == "unreadable"]
    assert unreadable["name"] == bad and unreadable["reason"] and shown.err.count("\n") == 1
    assert main(["runs"]) == 0
    capfd.readouterr()
    for verb in ("status", "why", "logs"):
        code, line = main([verb, bad]), capfd.readouterr().err
        assert code in (0, 1, 2) and line.count("\n") <= 1 and "internal error" not in line, (verb, line)
