"""`runs`, `status`, `logs` and `why` on what may stand in a store: half-written, damaged, foreign, or gone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from launch.cli import store_listing
from launch.cli.main import main
from launch.cli.store_listing import list_store
from launch.cluster.profiles import load_profile
from launch.cluster.slurm import Scheduler
from launch.records import submissions
from launch.runs import control, status
from launch.runs.evidence import collect_evidence
from launch.sweeps.grid import SweepDir, folder, grid
from tests.unit.launch.fake_slurm import squeue


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two runs, good and odd."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DUAL_STORE", str(tmp_path))
    monkeypatch.setattr(status, "available", lambda: False)
    for name in ("good", "odd"):
        RunDir.create(tmp_path / "runs" / name, load_config("demo", [f"name={name}", f"store={tmp_path}"]))
    return tmp_path


def garbage(name: str, content: bytes) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        (run / name).write_bytes(content)

    return damage


def folder_instead(name: str) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).mkdir()

    return damage


def nothing_but(name: str) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        (run / name).unlink()

    return damage


DAMAGES = [
    *(garbage(name, b"\x00\xff{") for name in ("run.json", "config.yaml", "journal.jsonl", "segments.jsonl")),
    *(garbage(name, b"") for name in ("run.json", "config.yaml", "journal.jsonl", "submissions.jsonl")),
    *(garbage(name, b'{"t": 1, "step": "x", "metrics": 3}\n[]\n3\n') for name in ("journal.jsonl", "segments.jsonl")),
    garbage("journal.jsonl", b'{"t": 1, "step": 1, "event": "start", "fields": 3}\n'),
    garbage("submissions.jsonl", b'{"event": "submit"}\n{"event": "new", "job_id": "7"}\n\xff\n'),
    *(folder_instead(name) for name in ("run.json", "journal.jsonl", "segments.jsonl", "submissions.jsonl")),
    *(nothing_but(name) for name in ("run.json", "config.yaml")),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_hides_no_other_and_costs_one_line(
    damage: Callable[[Path], None], store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(store / "runs" / "odd")
    assert main(["runs", "--json"]) == 0
    shown = capfd.readouterr()
    assert "good" in [json.loads(line)["name"] for line in shown.out.splitlines()]
    assert shown.err.count("\n") <= 1 and "internal" not in shown.err
    for verb in ("status", "why", "logs", "stop", "cancel", "resume"):
        code = main([verb, "odd"])
        line = capfd.readouterr().err
        assert code in (0, 1, 2) and line.count("\n") <= 1 and "internal error" not in line, (verb, line)


def test_what_is_no_run_is_passed_over(store: Path) -> None:
    (store / "runs" / "notes.txt").write_text("")
    (store / "runs" / "empty").mkdir()
    (store / "runs" / "loop").symlink_to(store / "runs" / "loop")
    found = list_store(store, Scheduler(), 0.0)
    assert [row.name for row in found.runs] == ["good", "odd"] and found.broken == {}
    assert list_store(store / "nowhere", Scheduler(), 0.0) == store_listing.StoreListing()


def test_slurm_is_asked_once_for_all_runs_and_jobs(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from launch.commands import status as command_status
    from launch.commands.job_dir import JobDescription, JobDir

    for module in (status, command_status, store_listing):
        monkeypatch.setattr(module, "available", lambda: True)
    request, asked = load_config("demo", ["launch.profile=dev"]).launch, []
    for number, name in enumerate(("good", "odd")):
        entry = submissions.Entry(event="submit", job_id=str(number), request=request, profile=load_profile("dev"))
        submissions.record(store / "runs" / name, entry)
    told = JobDescription(words=["pack"], job_ids=["8", "9"], folder="/", profile="dev", request=request)
    JobDir.make(store, "pack").save(told)

    def answer(words: object) -> str:
        asked.append(words)
        return squeue("0|RUNNING|None|n1\n1|PENDING|Priority|\n8|RUNNING|None|n2\n9|PENDING|Priority|\n")

    found = list_store(store, Scheduler(60, answer), 0.0)
    assert [row.state for row in found.runs] == ["running", "queued"] and found.jobs[0].tasks == ["running", "queued"]
    assert len(asked) == 1


def test_logs_shows_what_slurm_has_of_a_rank_that_could_not_begin(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = store / "runs" / "odd"
    entry = submissions.Entry(event="submit", job_id="7_1", profile=load_profile("dev"))
    submissions.record(run, entry)
    (run / "logs" / "7_1_0_log.out").write_text("ModuleNotFoundError\n")
    assert main(["logs", "odd"]) == 0 and capfd.readouterr().out == "ModuleNotFoundError\n"
    (run / "logs" / "rank_0000.log").write_text("\n".join(map(str, range(100))))
    assert main(["logs", "odd", "-n", "2"]) == 0 and capfd.readouterr().out == "98\n99\n"
    assert main(["logs", "odd", "-n", "0"]) == 0 and capfd.readouterr().out == ""
    assert main(["logs", "odd", "--rank", "3"]) == 2 and "logs of 0 to 0" in capfd.readouterr().err


def test_what_slurm_has_of_a_sweeps_member_lies_in_the_folder_of_the_sweep(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, sweep = store / "runs" / "odd", store / "sweeps" / "odds" / "logs"
    sweep.mkdir(parents=True)
    entry = submissions.Entry(event="submit", job_id="7_1", profile=load_profile("dev"), logs=str(sweep))
    submissions.record(run, entry)
    (sweep / "7_1_0_log.out").write_text("dual-hpc: module load cuda/99 failed\n")
    assert main(["logs", "odd"]) == 0 and "cuda/99" in capfd.readouterr().out
    assert "cuda/99" in collect_evidence(RunDir(run), Scheduler(0, lambda words: "")).srun.unstarted
    submissions.record(run, submissions.Entry(event="chain", job_id="8", profile=load_profile("dev")))
    (run / "logs" / "8_0_log.out").write_text("its own\n")
    assert main(["logs", "odd"]) == 0 and capfd.readouterr().out == "its own\n"


def test_following_prints_every_byte_once_and_ends_with_the_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where a character is cut in two, and where the file is written again."""
    from launch.cli.logs import follow

    log = tmp_path / "log"
    steps: list[tuple[str, bytes]] = [("ab", "é".encode()[:1]), ("ab", "é".encode()[1:] + b"\n"), ("wb", b"new\n")]

    def active() -> bool:
        if steps:
            mode, data = steps.pop(0)
            with open(log, mode) as file:
                file.write(data)
        return bool(steps)

    log.write_bytes(b"before\n")
    follow(lambda: log, os.path.getsize(log), active)
    assert capsys.readouterr().out == "é\nnew\n"


def test_a_sweep_is_stopped_and_cancelled_as_a_whole_waiting_members_first(
    store: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []
    answers = {"squeue": squeue("7_0|RUNNING|None|n1\n7_1|PENDING|Resources|\n7_2|COMPLETED|None|n1\n")}

    def command(words: list[str], patience: float = 0) -> str:
        calls.append(list(words))
        return answers.get(words[0], "")

    monkeypatch.setattr(status, "available", lambda: True)
    monkeypatch.setattr(Scheduler.__init__, "__defaults__", (0.0, command, *Scheduler.__init__.__defaults__[2:]))
    monkeypatch.setattr(control, "call", command)
    sweep = SweepDir(folder(store, "cv"), grid("cv", ["seeds=0..2"]))
    request = load_config("demo", ["launch.profile=dev"]).launch
    for number, run in enumerate(sweep.runs()):
        RunDir.create(run.path, load_config("demo", [f"name={run.path.name}"]))
        entry = submissions.Entry(event="submit", job_id=f"7_{number}", request=request, profile=load_profile("dev"))
        submissions.record(run.path, entry)
    sweep.path.mkdir(parents=True)
    sweep.save()

    assert main(["stop", "cv"]) == 0
    assert [words for words in calls if words[0] == "scancel"] == [
        ["scancel", "--quiet", "--state=PENDING", "7_1"],
        ["scancel", "--quiet", "--signal=USR2", "7_0"],
    ]
    assert [run.stop_file.exists() for run in sweep.runs()] == [True, True, False]
    calls.clear()
    capfd.readouterr()
    assert main(["stop", "cv"]) == 0
    assert capfd.readouterr().out.count("was asked to stop at") == 1
    cancelled = [words for words in calls if words[0] == "scancel"]
    assert cancelled == [["scancel", "--quiet", "--state=PENDING", "7_1"]], "what runs gets no second signal"
    calls.clear()
    assert main(["cancel", "cv"]) == 0
    assert [words for words in calls if words[0] == "scancel"] == [["scancel", "--quiet", "7_1", "7_0"]]
    RunDir.create(store / "runs" / "cv", load_config("demo", ["name=cv"]))
    assert main(["cancel", "cv"]) == 2 and "no job works on cv" in capfd.readouterr().err, "a run comes first"
    shutil.rmtree(store / "runs" / "cv")
    answers["squeue"] = ""
    capfd.readouterr()
    assert main(["cancel", "cv"]) == 2 and "no member of cv waits or runs" in capfd.readouterr().err


def test_a_file_in_place_of_a_store_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert main(["runs", "--store", str(file)]) == 2
    assert capsys.readouterr().err == f"dual-hpc: error: --store: {file} is not a folder\n"
