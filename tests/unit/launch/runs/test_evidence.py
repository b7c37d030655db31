"""What the logs of a run's ranks tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import Scheduler
from launch.records import submissions
from launch.records.log_markers import JOB_END_MARKER, JOB_START_MARKER
from launch.runs.diagnosis import diagnose
from launch.runs.evidence import collect_evidence, free_bytes, hung, last_line, since_start
from tests.unit.other_user import as_other_user, needs_root, open_folder

HANG = """
import sys
from dual_hpc.training.watchdog import Watchdog
Watchdog(0.1, 0.1).stepping()
print("in a step", flush=True)
import time
time.sleep(600)
"""


def test_a_rank_that_the_watchdog_ended_is_known_until_it_is_started_again(tmp_path: Path) -> None:
    log = tmp_path / "rank_0000.log"
    log.write_text(f"{JOB_START_MARKER} 7, restart 0: rank 0 on n1\n")
    assert not hung(log)
    with open(log, "a") as file:
        done = subprocess.run([sys.executable, "-c", HANG], stdout=file, stderr=file, timeout=600)
    assert done.returncode == 1 and hung(log)
    with open(log, "a") as file:
        file.write(f"{JOB_START_MARKER} 7, restart 1: rank 0 on n1\n")
    assert not hung(log)


def test_the_last_words_are_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "rank_0000.log"
    assert last_line(log) == "" and not hung(log)
    log.write_bytes(b"first\n" + "w\u00f6rter ".encode() * 100 + b"\xff\n\n \n")
    assert last_line(log).startswith("w\u00f6rter") and len(last_line(log)) == 200
    log.write_bytes("done \u00e4".encode()[:-1])
    assert last_line(log) == "done", "torn in the middle of a character"
    log.write_bytes(b"epoch 1  10 %\repoch 1  90 %\r")
    assert last_line(log) == "epoch 1  90 %"
    log.write_text(f"OSError: full\nsrun: error: n1: task 0: Exited with exit code 1\n{JOB_END_MARKER}: failure\n")
    assert last_line(log) == "OSError: full"


def test_a_full_disk_is_found_in_the_log_of_any_rank_of_the_last_start(tmp_path: Path) -> None:
    from launch.runs.findings import FULL

    log = tmp_path / "rank_0003.log"
    log.write_text(f"{JOB_START_MARKER} 7\nOSError: [Errno 28] No space left on device\nend\n")
    assert [line for line in since_start(log) if FULL.search(line)]
    with open(log, "a") as file:
        file.write(f"{JOB_START_MARKER} 7\nfine\n")
    assert since_start(log)[-1] == "fine" and not [line for line in since_start(log) if FULL.search(line)]
    assert free_bytes(tmp_path) and free_bytes(tmp_path / "gone") is None


def test_the_newest_checkpoint_is_that_of_the_folder_and_not_of_the_journal(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", load_config("demo", [f"store={tmp_path}"]))
    run.journal.write_text('{"t": 1, "step": 12, "event": "checkpoint", "fields": {"folder": "step_00000012"}}\n')
    assert collect_evidence(run, Scheduler()).checkpoint is None
    for name in ("step_00000003", "step_00000009", "step_00000012.abc.tmp"):
        (run.checkpoints / name).mkdir()
    assert collect_evidence(run, Scheduler()).checkpoint == 9


@needs_root
def test_a_colleague_is_told_what_can_be_known_without_the_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are their user's alone (contract 7), and so is resuming the run (contract 4)."""
    monkeypatch.setenv("PATH", "/nowhere")
    with open_folder() as store:
        run = RunDir.create(store / "runs" / "hers", load_config("demo", [f"store={store}"]))
        (run.logs / "rank_0000.log").write_text("secret\n")
        (run.logs / "rank_0000.log").chmod(0o600)
        submissions.record(run.path, submissions.Entry(event="submit", job_id="7"))
        mine = diagnose(collect_evidence(run, Scheduler()))
        theirs = as_other_user(lambda: diagnose(collect_evidence(run, Scheduler())).as_json())
        assert "secret" not in theirs and f"'state': '{mine.state}'" in theirs
        evidence = as_other_user(lambda: collect_evidence(run, Scheduler()).read_logs)
        assert evidence.startswith(
            "only root can read its logs; `dual-hpc resume hers` of root, whose run it is, begins"
        )
        assert as_other_user(lambda: collect_evidence(run, Scheduler()).last_words) == ""
