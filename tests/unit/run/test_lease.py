"""Two jobs never work on one run; one that was replaced finds out before it publishes anything."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.checkpoint import commit, select
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.group import SingleProcess
from dual_hpc.run import lease as leases
from dual_hpc.run.lease import Holder, Lease, decide
from dual_hpc.run.names import LEASE


def holder(job_id: str = "1", restart_count: int = 0, machine: str = "here boot") -> Holder:
    return Holder(token="t", job_id=job_id, restart_count=restart_count, machine=machine, pid=1, start_time="1")


def never(reason: str) -> None:
    raise AssertionError(reason)


def take(folder: Path, job_id: str = "1", restart_count: int = 0, lost: Callable[[str], Any] = never) -> Lease:
    return Lease.acquire(folder, job_id, restart_count, lost, silent=0.4)


@pytest.mark.parametrize(
    ("present", "lives", "answer"),
    [
        (None, True, "take"),
        (holder("1", 0, "elsewhere"), True, "take"),  # the job's former life: Slurm has ended it
        (holder("1", 2), True, "leave"),  # the job's next life: we are the zombie
        (holder("7"), True, "leave"),
        (holder("7"), False, "take"),
        (holder("7", 0, "elsewhere"), True, "watch"),
        (holder("1", 1, "elsewhere"), True, "watch"),
    ],
)
def test_who_may_take_a_lease(present: Holder | None, lives: bool, answer: str) -> None:
    assert decide(present, holder("1", 1), lambda _: lives) == answer


def test_a_lease_is_given_back_and_taken_again(tmp_path: Path) -> None:
    for job in ("1", "2"):
        lease = take(tmp_path, job)
        lease.check()
        lease.release()
    assert not (tmp_path / LEASE).exists()


def test_a_living_job_is_left_alone(tmp_path: Path) -> None:
    lease = take(tmp_path)
    with pytest.raises(UserError, match="job 1 works on this run"):
        take(tmp_path, "2")
    lease.check()
    lease.release()


def test_a_killed_process_of_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from dual_hpc.run.lease import Lease;"
        "Lease.acquire(Path(sys.argv[1]), '1', 0, print); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)]).returncode == -9
    assert (tmp_path / LEASE).exists()
    take(tmp_path, "2").release()


def elsewhere(folder: Path, **changes: object) -> None:
    content = json.loads((folder / LEASE).read_text())
    (folder / LEASE).write_text(json.dumps({**content, "machine": "elsewhere", "token": "x", **changes}))


def test_a_holder_on_another_machine_is_replaced_without_a_heartbeat_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = take(tmp_path)
    elsewhere(tmp_path)
    second = take(tmp_path, "2")
    elsewhere(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _: elsewhere(tmp_path, beat=5))
    with pytest.raises(UserError, match="job 2 works on this run"):
        take(tmp_path, "3")
    for lease in (first, second):
        lease.release()
    assert (tmp_path / LEASE).exists()  # not theirs any more


def test_a_replaced_holder_is_notified_and_can_neither_commit_nor_check_nor_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    told = threading.Event()
    zombie = take(tmp_path, "1", 0, lambda reason: told.set())
    commit.save(
        tmp_path,
        SingleProcess(),
        lambda _: {},
        step=3,
        zero_stage=0,
        precision="fp32",
        state={},
        check_ownership=zombie.check,
    )
    new = take(tmp_path, "1", 1)
    assert told.wait(600)
    with pytest.raises(EnvironmentFault, match=r"taken over by job 1 \(restart 1\)"):
        zombie.check()
    with pytest.raises(EnvironmentFault, match="taken over by job 1"):
        commit.save(
            tmp_path,
            SingleProcess(),
            lambda _: {},
            step=6,
            zero_stage=0,
            precision="fp32",
            state={},
            check_ownership=zombie.check,
        )
    assert select.steps(tmp_path) == [3] and not list(tmp_path.glob("*.tmp"))
    zombie.release()
    new.check()
    new.release()


def test_a_file_system_that_is_away_for_a_moment_ends_nobody_but_nothing_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, told = threading.Semaphore(0), threading.Event()
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.02)
    lease = take(tmp_path, lost=lambda reason: told.set())
    read = leases._read

    def away(file: Path) -> Holder | None:
        looked.release()
        raise leases._Unreadable("Stale file handle")

    monkeypatch.setattr(leases, "_read", away)
    for _ in range(3):
        assert looked.acquire(timeout=600)
    with pytest.raises(EnvironmentFault, match="Stale"):
        lease.check()
    monkeypatch.setattr(leases, "_read", read)
    lease.check()
    assert not told.is_set()
    lease.release()
    assert not (tmp_path / LEASE).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"token": 1}', b"null"])
def test_a_damaged_lease_holds_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LEASE).write_bytes(content)
    take(tmp_path).release()


def test_the_heartbeat_counts_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.02)
    lease = take(tmp_path)
    seen = set()
    for _ in range(6000):
        seen.add(json.loads((tmp_path / LEASE).read_text())["beat"])
        if len(seen) > 2:
            break
        threading.Event().wait(0.01)
    lease.release()
    assert len(seen) > 2


def test_the_written_names_are_those_of_earlier_versions(tmp_path: Path) -> None:
    """The archived code of a run, older or newer, reads the same file (contract 11)."""
    lease = take(tmp_path, "7", 2)
    written = json.loads((tmp_path / LEASE).read_text())
    assert {"token", "job_id", "incarnation", "machine", "pid", "born", "beat"} == written.keys()
    assert (written["job_id"], written["incarnation"]) == ("7", 2)
    lease.release()


def test_a_holder_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    lease = take(tmp_path, "7")
    written = json.loads((tmp_path / LEASE).read_text())
    (tmp_path / LEASE).write_text(json.dumps({**written, "added_later": 1}))
    with pytest.raises(UserError, match="job 7 works on this run"):
        take(tmp_path, "8")
    lease.release()
