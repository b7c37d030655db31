"""`runs`, `status`, `why`, `logs`, `stop` and `cancel` on each kind of target, with Slurm's words at the other end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir, Segment
from launch.cli import store_listing
from launch.cli.main import main
from launch.cli.targets import find_jobs_to_wait_for, find_target
from launch.cluster.profiles import load_profile
from launch.cluster.slurm import Scheduler
from launch.cluster.state import State
from launch.commands import status as command_status
from launch.commands import target as command_target
from launch.commands.job_dir import JobDescription, JobDir
from launch.commands.target import CommandTarget
from launch.records import submissions
from launch.runs import evidence
from launch.runs import status as run_status
from launch.runs.plan import plan_resumption
from launch.runs.target import RunTarget
from launch.sweeps.grid import SweepDir, folder, grid
from launch.sweeps.target import SweepTarget
from tests.unit.launch.fake_slurm import sacct, squeue

REQUEST = load_config("demo", ["launch.profile=dev"]).launch


class FakeSlurm:
    """What squeue and sacct print."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.steps: dict[str, str] = {}
        self.rows = ""  # of accounting, as they are

    def __call__(self, words: Sequence[str]) -> str:
        if words[0] == "squeue":
            return squeue("".join(f"{job}|{word}|None|n1\n" for job, word in self.words.items()))
        asked = next(word for word in words if word.startswith("--jobs=")).removeprefix("--jobs=").split(",")
        lines = [f"{job}|{self.words[job]}|1:0|n1\n" for job in asked if job in self.words]
        steps = [f"{job}.0|{self.steps[job]}|0:125|n1\n" for job in asked if job in self.steps]
        return sacct(self.rows or "".join(lines + steps))


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    made = FakeSlurm()
    for module in (run_status, command_status, command_target, store_listing, evidence):
        monkeypatch.setattr(module, "available", lambda: True)
    monkeypatch.setattr(Scheduler.__init__, "__defaults__", (0.0, made, *Scheduler.__init__.__defaults__[2:]))  # type: ignore[index]
    return made


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run (job 7), a sweep of two (jobs 8_0 and 8_1), and a command of two tasks (9_0 and 9_1)."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DUAL_STORE", str(tmp_path))
    sweep = SweepDir(folder(tmp_path, "cv"), grid("cv", ["seeds=0..1"]))
    for path, job in [(tmp_path / "runs" / "trial", "7"), *((r.path, f"8_{n}") for n, r in enumerate(sweep.runs()))]:
        RunDir.create(path, load_config("demo", [f"name={path.name}", f"store={tmp_path}"]))
        entry = submissions.Entry(event="submit", job_id=job, request=REQUEST, profile=load_profile("dev"))
        submissions.record(path, entry)
    sweep.path.mkdir(parents=True)
    sweep.save()
    words = ["pack", "meld", "/corpus"]
    told = JobDescription(words=words, job_ids=["9_0", "9_1"], folder="/", profile="dev", request=REQUEST)
    JobDir.make(tmp_path, "pack").save(told)
    return tmp_path


def shown(verb: str, name: str, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capfd.readouterr()
    assert main([verb, name, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("word", "step", "state"),
    [
        ("PENDING", None, "queued"),
        ("RUNNING", None, "running"),
        ("SUSPENDED", None, "suspended"),
        ("COMPLETING", None, "ending"),
        ("CANCELLED", None, "cancelled"),
        ("FAILED", None, "failed"),
        ("FAILED", "OUT_OF_MEMORY", "out of memory"),
        ("OUT_OF_MEMORY", None, "out of memory"),
        ("NODE_FAIL", None, "node failure"),
        ("BOOT_FAIL", None, "node failure"),
        ("DEADLINE", None, "out of time"),
        ("TIMEOUT", None, "out of time"),
        ("PREEMPTED", None, "preempted"),
        ("ON_FIRE", None, "unknown"),
    ],
)
def test_runs_status_and_why_show_the_same_word_for_every_kind_of_target(
    word: str, step: str | None, state: str, store: Path, slurm: FakeSlurm, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm.words = dict.fromkeys(("7", "8_0", "8_1", "9_0", "9_1"), word)
    slurm.steps = {} if step is None else dict.fromkeys(slurm.words, step)
    for name, kind in (("trial", "run"), ("cv", "sweep"), ("cv.seed-1", "run"), ("pack-1", "job")):
        status = shown("status", name, capfd)
        assert (status["kind"], status["state"], shown("why", name, capfd)["state"]) == (kind, state, state)
        assert main(["why", name]) == 0 and capfd.readouterr().out.startswith(f"{state}: ")
    assert main(["runs", "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {row["name"]: row["state"] for row in rows} == dict.fromkeys(
        ("trial", "cv.seed-0", "cv.seed-1", "pack-1"), state
    )


def test_a_sweep_shows_one_row_per_member_and_how_many_are_in_each_state(
    store: Path, slurm: FakeSlurm, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm.words = {"8_0": "RUNNING", "8_1": "OUT_OF_MEMORY"}
    status = shown("status", "cv", capfd)
    assert status["state"] == "out of memory" and status["counts"] == {"running": 1, "out of memory": 1}
    assert [(row["name"], row["state"]) for row in status["members"]] == [
        ("cv.seed-0", "running"),
        ("cv.seed-1", "out of memory"),
    ]
    assert main(["status", "cv"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "members   2: 1 running, 1 out of memory" in lines and any("cv.seed-1" in line for line in lines)
    why = shown("diagnose", "cv", capfd)
    assert why["sentence"].startswith("cv.seed-1: a process ran out of memory") and "1 running" in why["sentence"]
    assert "dual-hpc sweep --resubmit cv" in why["advice"]


def test_a_sweep_that_has_finished_says_so_and_one_whose_members_are_gone_as_well(
    store: Path, slurm: FakeSlurm, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        segment = Segment(event="end", job_id=f"8_{number}", reason="finished")
        RunDir(store / "runs" / f"cv.seed-{number}").append_segment(segment)
    assert shown("why", "cv", capfd)["sentence"] == "all 2 members have finished"
    (store / "runs" / "cv.seed-0" / "run.json").unlink()
    assert shown("status", "cv", capfd)["counts"] == {"missing": 1, "finished": 1}
    assert shown("why", "cv", capfd)["sentence"] == "cv.seed-0: its folder is gone; members: 2: 1 missing, 1 finished"
    assert main(["status", "cv"]) == 0, "also as a table"


def test_the_log_of_a_sweep_is_that_of_its_member_or_a_question_which(
    store: Path, slurm: FakeSlurm, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "cv"]) == 2
    assert "cv is a sweep of 2 members; name one of them, as in `dual-hpc logs cv.seed-0`" in capfd.readouterr().err
    single = SweepDir(folder(store, "one"), grid("one", ["seeds=3..3"]))
    RunDir.create(single.runs()[0].path, load_config("demo", [f"name={single.runs()[0].path.name}"]))
    (single.runs()[0].logs / "rank_0000.log").write_text("a step\n")
    single.path.mkdir(parents=True)
    single.save()
    assert main(["logs", "one"]) == 0 and capfd.readouterr().out == "a step\n"


def test_a_command_has_nothing_to_save_and_a_sweep_is_not_resumed_as_a_run(
    store: Path, slurm: FakeSlurm, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm.words = {"9_0": "RUNNING"}
    assert main(["stop", "pack-1"]) == 2 and "`dual-hpc cancel pack-1`" in capfd.readouterr().err
    assert main(["resume", "cv"]) == 2 and "`dual-hpc sweep --resubmit cv`" in capfd.readouterr().err


def test_a_target_is_found_by_name_or_folder_and_a_run_comes_first(store: Path) -> None:
    kinds = {"runs/trial": RunTarget, "sweeps/cv": SweepTarget, "jobs/pack-1": CommandTarget}
    for path, kind in kinds.items():
        for name in (Path(path).name, str(store / path)):
            found = find_target(name, store)
            assert isinstance(found, kind) and found.name == Path(path).name
    RunDir.create(store / "runs" / "cv", load_config("demo", ["name=cv"]))
    assert isinstance(find_target("cv", store), RunTarget)
    with pytest.raises(UserError, match="no run, sweep or job 'nothing'"):
        find_target("nothing", store)


def test_every_state_can_be_explained(store: Path) -> None:
    from launch.runs.diagnosis import diagnose
    from launch.runs.findings import Evidence
    from launch.runs.status import RunStatus

    for state in State:
        found = diagnose(Evidence("trial", RunStatus(state, "7", None, local=False, active=False)))
        assert found.state is state and found.sentence


def test_a_job_waits_for_the_newest_jobs_of_what_it_names(store: Path) -> None:
    config = load_config("demo", [f"store={store}", 'launch.after=[trial, cv, pack-1, "12_3", "5"]'])
    submissions.record(store / "runs" / "trial", submissions.Entry(event="chain", job_id="17"))
    find_jobs_to_wait_for(config)
    assert config.launch.after == ["17", "8_0", "8_1", "9_0", "9_1", "12_3", "5"]
    with pytest.raises(UserError, match="no run, sweep or job 'gone'"):
        find_jobs_to_wait_for(load_config("demo", [f"store={store}", "launch.after=[gone]"]))


def test_a_run_that_continues_does_not_wait_for_what_its_first_job_waited_for(store: Path) -> None:
    run = RunDir.open(store / "runs" / "trial")
    asked = REQUEST.model_copy(update={"after": ["3"], "begin": "now+2hours", "mail": "me@lab.org"})
    entry = submissions.Entry(event="submit", job_id="7", request=asked, profile=load_profile("dev"))
    submissions.record(run.path, entry)
    plan, _ = plan_resumption(run, [])
    assert plan.config.launch == asked.model_copy(update={"after": [], "begin": None})


def test_status_says_what_the_jobs_of_a_run_have_used(
    store: Path, slurm: FakeSlurm, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.runs.summary.available", lambda: True)
    row = "7|COMPLETED|0:0|n1|7200|cpu=4,mem=8G,node=1||2026-11-26T10:00:00|2026-11-26T10:30:00|1"
    slurm.rows = row
    assert main(["status", "trial"]) == 0
    assert "used      8.00 core-hours, 0.50 h in the queue" in capfd.readouterr().out


def test_an_override_that_repeats_what_a_run_has_is_allowed(store: Path) -> None:
    run = RunDir.open(store / "runs" / "trial")
    same = [f"optim.lr={run.config().optim.lr}", "name=trial", "launch.hours=3"]
    plan, _ = plan_resumption(run, same)
    assert plan.config.launch.hours == 3
    with pytest.raises(UserError, match=r"optim.lr=0.5: a run continues with its own configuration"):
        plan_resumption(run, [*same, "optim.lr=0.5"])
