"""Two users of one group on one store: each works on runs of their own and reads the other's, and nothing that one asks
of the other's run is done by half: `make slurm-long`.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from launch.records import submissions
from tests.slurm.colleagues import PROJECT, Colleague, two_colleagues
from tests.slurm.conftest import SMALLEST
from tests.slurm.observe import ends, slurm, step_of

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800)]
ALONE = (*SMALLEST, "launch.nodes=1")


@dataclass(frozen=True)
class Project:
    """Ana and Ben, their store, and shards that both can read."""

    ana: Colleague
    ben: Colleague
    shards: Path

    @property
    def store(self) -> Path:
        return self.ana.store

    def words(self, name: str, *overrides: str) -> list[object]:
        return ["submit", "--preset", "demo", "--shards", self.shards, f"name={name}", *ALONE, *overrides]

    def submit(self, user: Colleague, name: str, *overrides: str) -> RunDir:
        user.dual(*self.words(name, *overrides))
        return self.run(name)

    def run(self, name: str) -> RunDir:
        return RunDir.open(self.store / "runs" / name)


@pytest.fixture(scope="module")
def project(shards: Path) -> Iterator[Project]:
    with two_colleagues(shards) as (ana, ben, readable):
        try:
            yield Project(ana, ben, readable)
        finally:
            for user in (ana, ben):
                slurm("scancel", "--quiet", f"--user={user.name}")


@contextmanager
def nothing_changes(store: Path) -> Iterator[None]:
    """What is refused leaves no run and no stop file, whatever jobs write meanwhile."""

    def seen() -> set[Path]:
        return {path for path in store.rglob("*") if path.name in (names.STOP_FILE, names.IDENTITY) or path.is_dir()}

    before = {path for path in seen() if names.CHECKPOINTS not in path.parts}
    yield
    assert {path for path in seen() if names.CHECKPOINTS not in path.parts} == before


def writable_by_others(folder: Path) -> list[str]:
    found = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o022]
    return [str(path.relative_to(folder)) for path in found]


def test_both_train_stop_resume_and_score_and_neither_touches_the_other_s(cluster: Any, project: Project) -> None:
    ana, ben = project.ana, project.ben
    hers = project.submit(ana, "hers")
    # Who makes the database decides who may write it: his umask would leave it to him alone.
    cluster.until("her run makes MLflow's database", (project.store / "mlflow.db").exists)
    his = project.submit(ben.with_umask(0o022), "his", "training.max_steps=100000", "training.epochs=1000000")
    cluster.until("both train", lambda: step_of(hers) >= 3 and step_of(his) >= 3)

    # Each sees both, whatever state they are in, and each is told whose the other's is.
    for user, own, other in ((ana, "hers", "his"), (ben, "his", "hers")):
        assert {row["name"] for row in map(json.loads, user.dual("runs", "--json").splitlines())} >= {"hers", "his"}
        assert json.loads(user.dual("status", other, "--json"))["state"] == "running"
        assert json.loads(user.dual("why", other, "--json"))["state"] == "running"
        whose = ben.name if user is ana else ana.name
        with nothing_changes(project.store):
            for words in (["stop"], ["cancel"], ["resume"], ["resume", "--trust"], ["sync"], ["logs"]):
                process = user.start(words[0], other, *words[1:])
                out, err = process.communicate(timeout=240)
                assert process.returncode in (1, 2), (words, out, err)
                lines = err.strip().splitlines()
                assert len(lines) == 1 and (whose in lines[0] or "is running" in lines[0]), (words, err)
            refused = user.dual(*project.words(other), code=2)
            assert whose in refused and "name" in refused and refused.count("\n") == 1
        assert step_of(project.run(own)) >= 3

    # Their own they can stop, resume and cancel.
    assert "saves and stops" in ben.dual("stop", "his")
    cluster.until("it stops", lambda: [reason for reason, _ in ends(his)] == ["stopped"])
    cluster.until("its job ends", lambda: cluster.queue(his) not in ("RUNNING", "COMPLETING"))
    assert ana.name not in ben.dual("why", "his") and "stopped by `dual-hpc stop`" in ana.dual("why", "his")
    ben.dual("resume", "his")
    cluster.until("it goes on", lambda: step_of(his) > ends(his)[0][1])
    ben.dual("cancel", "his")
    cluster.until("it is cancelled", lambda: cluster.queue(his) == "CANCELLED")
    cluster.finish(hers)

    # What she has trained he scores into a folder of his own; into her run as well, if her umask lets the group.
    refused = ana.dual("evaluate", "his", code=2)
    assert ben.name in refused and "--out DIR" in refused and refused.count("\n") == 1
    with nothing_changes(hers.path):
        ben.dual("evaluate", "hers", "--out", ben.home / "report")
        model = ("--model", hers.exports / "best", "--shards", project.shards, "--protocol", "iemocap4")
        ben.dual("evaluate", *model, "--out", ben.home / "model")
    assert (ben.home / "report" / "test_best.json").exists() and (ben.home / "model" / "test.json").exists()
    assert list(hers.reports.glob("test*")) == []
    ben.dual("evaluate", "hers")
    assert (hers.reports / "test_best.json").owner() == ben.name
    ana.dual("evaluate", "hers")
    assert (hers.reports / "test_best.json").owner() == ana.name

    # MLflow's database is the project's: both have their runs in it, and `sync` leaves the other's alone.
    for user, left in ((ana, ben.name), (ben, ana.name)):
        process = user.start("sync")
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0 and "1 run is up to date" in out and left in err, out + err
    log = (his.logs / "rank_0000.log").read_text()
    assert "MLflow is not up to date" not in log and "sqlite" not in log

    # A run is its user's alone, although their umask lets the group write; what lies beside it is the project's.
    for run, user in ((hers, ana), (his, ben)):
        assert set(writable_by_others(run.path)) <= {names.REPORTS}
        found = run.path.stat()
        assert found.st_uid == pwd.getpwnam(user.name).pw_uid and found.st_mode & stat.S_ISGID
        assert {path.group() for path in run.path.rglob("*")} == {PROJECT}
    for shared in ("mlflow.db", "mlflow.lock", "mlartifacts", "mlartifacts/models", "runs"):
        assert (project.store / shared).stat().st_mode & stat.S_IWGRP, shared
        assert (project.store / shared).group() == PROJECT


def test_of_two_who_submit_one_name_at_once_one_wins(cluster: Any, project: Project) -> None:
    """The shared lock of the store decides; the other gets one line, and nothing of theirs is left."""
    for turn in range(3):
        name = f"contested-{turn}"
        both = [user.start(*project.words(name, "launch.begin=now+1hour")) for user in (project.ana, project.ben)]
        said = [process.communicate(timeout=240) for process in both]
        codes = [process.returncode for process in both]
        assert sorted(codes) == [0, 2], said
        loser, winner = codes.index(2), (project.ana, project.ben)[codes.index(0)]
        assert said[loser][1].count("\n") == 1 and winner.name in said[loser][1], said[loser][1]
        run = project.run(name)
        assert [entry.event for entry in submissions.read(run.path)] == ["submit"]
        assert {path.owner() for path in (run.path, *run.path.rglob("*"))} == {winner.name}
        queued = slurm("squeue", "--noheader", f"--name={name}", "--format=%u").split()
        assert queued == [winner.name]
        winner.dual("cancel", name)


def test_a_sweep_is_one_user_s_and_the_other_sees_its_table(cluster: Any, project: Project) -> None:
    ana, ben = project.ana, project.ben
    words = ("sweep", "--preset", "demo", "--shards", project.shards, "name=row", *ALONE, "training.max_steps=2")
    ana.dual(*words, "--grid", "seeds=0..1")
    with nothing_changes(project.store / "sweeps"):
        assert ana.name in ben.dual("stop", "row", code=2)
        assert ana.name in ben.dual("cancel", "row", code=2)
        assert "exists" in ben.dual(*words, "--grid", "seeds=0..1", code=2)
        assert json.loads(ben.dual("why", "row", "--json"))["state"] in ("queued", "running")
    for run in (project.run("row.seed-0"), project.run("row.seed-1")):
        cluster.finish(run)
    process = ben.start("sweep", "--show", "row")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0 and out.count("finished") == 2 and "warning" not in err
    assert "every member has finished" in ben.dual("sweep", "--resubmit", "row")
    ben.dual("sweep", "--evaluate", "row")
    assert (project.run("row.seed-0").reports / "test_best.json").owner() == ben.name
    shown = json.loads(ana.dual("sweep", "--show", "row", "--json"))["scores"]
    assert {name for name in shown if name != "validation"} and {one["runs"] for one in shown.values()} == {2}


def test_a_store_that_is_not_shared_is_refused_before_a_job_is_made(project: Project) -> None:
    """Of a user whose umask keeps the group out, with the folder and whom to ask."""
    closed = project.store.parent / "closed"
    closed.mkdir()
    shutil.chown(closed, group=PROJECT)
    closed.chmod(0o2775)
    os.chown(project.store.parent, pwd.getpwnam(project.ana.name).pw_uid, -1)
    try:
        project.ana.with_umask(0o022).dual(*project.words("first", f"store={closed}", "launch.begin=now+1hour"))
        before = set(closed.rglob("*"))
        refused = project.ben.dual(*project.words("second", f"store={closed}"), code=2)
        assert f"ask {project.ana.name}" in refused and "chmod g+w" in refused and refused.count("\n") == 1
        assert set(closed.rglob("*")) == before
        assert slurm("squeue", "--noheader", "--name=second") == ""
    finally:
        os.chown(project.store.parent, 0, -1)
        slurm("scancel", "--quiet", "--name=first", f"--user={project.ana.name}")
