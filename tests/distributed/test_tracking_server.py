"""A tracking server that is killed and started again, under a training that is killed as well: each point once."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import points, read
from dual_hpc.tracking.mlflow_store import store_of
from dual_hpc.tracking.mlflow_sync import sync

pytestmark = [pytest.mark.distributed, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
STEPS, SECONDS = 120, 0.1


class Processes:
    """Starts and kills servers and trainings."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.living: set[int] = set()
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.distributed.workers.tracking_server"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "errors.log").open("wb"),
            text=True,
        )
        assert self._parent.stdout is not None and self._parent.stdout.readline() == "ready\n"

    def start(self, **asked: Any) -> int:
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(asked) + "\n")
        self._parent.stdin.flush()
        child = int(self._parent.stdout.readline())
        self.living.add(child)
        return child

    def serve(self) -> int:
        return self.start(serve=str(self.folder / "server.db"), port=self.port)

    def kill(self, child: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        self.living.discard(child)

    def close(self) -> None:
        for child in list(self.living):
            self.kill(child)
        self._parent.kill()
        self._parent.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.close()


def wait_until(what: Any, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as server:
            server.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return b"200" in server.recv(100)
    except OSError:
        return False


def test_a_server_killed_ten_times_under_a_training_killed_three_times_has_the_journal_once(
    processes: Processes, tmp_path: Path
) -> None:
    draw = random.Random(7)
    store = tmp_path / "store"
    settings = [f"store={store}", "name=tough", f"tracking.uri=http://127.0.0.1:{processes.port}"]
    run = RunDir.create(store / "runs" / "tough", load_config("demo", settings))

    def step() -> int:
        return max((entry.step or 0 for entry in read(run.journal)), default=0)

    server = processes.serve()
    trainer = processes.start(train=str(run.path), steps=STEPS, seconds=SECONDS)
    for number in range(10):
        wait_until(lambda: answers(processes.port))
        time.sleep(draw.uniform(0.0, 1.5))  # before, within and after a sync
        processes.kill(server)
        if number in (2, 5, 8):
            processes.kill(trainer)
            trainer = processes.start(train=str(run.path), steps=STEPS, seconds=SECONDS)
        time.sleep(draw.uniform(0.0, 0.3))
        server = processes.serve()
    wait_until(lambda: step() == STEPS)
    wait_until(lambda: answers(processes.port))
    wait_until(lambda: run.segments()[-1].event == "end")
    processes.kill(trainer)
    run_id = sync(run, artifacts=False)
    wanted = {(p.key, p.step, p.value, p.time_ms) for p in points(read(run.journal))}
    with store_of(run.config()).client() as client:
        experiment = client.get_experiment_by_name("dual")
        assert experiment is not None
        assert [one.info.run_id for one in client.search_runs([experiment.experiment_id])] == [run_id]
        found = [
            (key, one.step, one.value, one.timestamp)
            for key in {point[0] for point in wanted}
            for one in client.get_metric_history(run_id, key)
        ]
        assert client.get_run(run_id).data.metrics.keys() == {point[0] for point in wanted}
        assert client.get_run(run_id).info.status == "FINISHED"
    assert len(found) == len(set(found)) == len(wanted)
    assert set(found) == wanted
    # A step of 100 ms may not wait for the server: not while it is dead, and not while it answers.
    waited = [p.value - SECONDS for p in points(read(run.journal)) if p.key == "train/step_seconds"]
    assert sorted(waited)[len(waited) // 2] < 0.1


def test_a_server_that_hangs_costs_a_training_no_time(processes: Processes, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and says nothing
        settings = [f"store={tmp_path}", "name=mute", f"tracking.uri=http://127.0.0.1:{mute.getsockname()[1]}"]
        run = RunDir.create(tmp_path / "runs" / "mute", load_config("demo", settings))
        trainer = processes.start(train=str(run.path), steps=30, seconds=0.05)
        wait_until(lambda: bool(run.segments()) and run.segments()[-1].event == "end")
        begun, ended = run.segments()[0].time, run.segments()[-1].time
        processes.kill(trainer)
    waited = [p.value - 0.05 for p in points(read(run.journal)) if p.key == "train/step_seconds"]
    assert len(waited) == 30 and sorted(waited)[15] < 0.05
    assert ended - begun < 20, "less than one request may take"
