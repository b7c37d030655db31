"""Real processes under the local controller: what one rank's end means for the others, for the lock, for the user."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from submitit.local.local import LocalJob

from dual_hpc.errors import UserError
from launch.job.local_job import RankExecutor
from launch.records import failures


def start(logs: Path, function: Callable[[], object], ranks: int = 2, hours: float = 0.1) -> LocalJob:
    logs.mkdir(parents=True, exist_ok=True)
    return RankExecutor(logs, ranks, hours, signal_seconds=1).submit(function)


def wait(job: LocalJob, seconds: float = 400) -> int:
    assert job._process is not None
    return job._process.wait(seconds)


def pids(folder: Path, count: int) -> list[int]:
    """The ranks write their process ids; a rank that reads a peer's file must find it complete."""
    deadline = time.monotonic() + 300
    while len(found := list(folder.glob("pid_*"))) < count:
        assert time.monotonic() < deadline, "the ranks did not start"
        time.sleep(0.05)
    return [int(path.name.split("_")[1]) for path in found]


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def sleeper(tmp_path: Path) -> Callable[[], None]:
    """A rank that announces itself and then hangs as in a collective: only its death ends it."""
    folder = str(tmp_path)

    def rank() -> None:
        import os
        import time
        from pathlib import Path

        from launch.job.rank import die_with_parent

        die_with_parent()
        (Path(folder) / f"pid_{os.getpid()}").touch()
        time.sleep(3600)

    return rank


def test_ranks_see_their_place_and_end_well(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def rank() -> None:
        import os
        from pathlib import Path

        from submitit import JobEnvironment

        from launch.job.rank import set_environment

        set_environment(JobEnvironment())
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "DUAL_RANK_CORES")
        (Path(folder) / f"rank_{os.environ['RANK']}").write_text(" ".join(os.environ[name] for name in names))

    assert wait(start(tmp_path / "logs", rank)) == 0
    first, second = ((tmp_path / f"rank_{number}").read_text().split() for number in (0, 1))
    assert first[:3] == ["0", "0", "2"] and second[:3] == ["1", "1", "2"]
    assert first[3:] == second[3:] and first[3] == "127.0.0.1"
    assert first[5] == str(max(1, len(os.sched_getaffinity(0)) // 2))  # the data workers of both share the machine


def test_a_dead_rank_ends_the_job_and_is_named(tmp_path: Path, sleeper: Callable[[], None]) -> None:
    job = start(tmp_path / "logs", sleeper)
    ranks = pids(tmp_path, 2)
    os.kill(ranks[0], signal.SIGKILL)
    assert wait(job) == 1
    assert all(gone(pid) for pid in ranks)
    cause = failures.root_cause(failures.read(tmp_path / "logs", job.job_id))
    assert cause is not None and cause.killed and "SIGKILL" in cause.message


def test_no_rank_survives_its_controller(tmp_path: Path, sleeper: Callable[[], None]) -> None:
    job = start(tmp_path / "logs", sleeper)
    ranks = pids(tmp_path, 2)
    os.kill(int(job.job_id), signal.SIGKILL)
    wait(job)
    assert all(gone(pid) for pid in ranks)


def test_a_run_is_trained_by_one_job_at_a_time(tmp_path: Path, sleeper: Callable[[], None]) -> None:
    job = start(tmp_path / "logs", sleeper, ranks=1)
    with pytest.raises(UserError, match="already"):
        start(tmp_path / "logs", sleeper, ranks=1)
    os.kill(int(job.job_id), signal.SIGKILL)
    wait(job)
    again = start(tmp_path / "logs", lambda: None, ranks=1)
    assert wait(again) == 0


def test_ranks_are_warned_before_the_time_limit(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def rank() -> None:
        import signal
        import time
        from pathlib import Path

        caught: list[int] = []
        signal.signal(signal.SIGUSR2, lambda number, frame: caught.append(number))
        deadline = time.monotonic() + 300
        while not caught and time.monotonic() < deadline:
            time.sleep(0.05)
        (Path(folder) / "warned").write_text(str(caught))

    assert wait(start(tmp_path / "logs", rank, ranks=1, hours=9 / 3600)) == 0
    assert (tmp_path / "warned").read_text() == str([int(signal.SIGUSR2)])
