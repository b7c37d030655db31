"""A node's samples are in a file of the run before MLflow has them, and cost next to nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault
from dual_hpc.monitor.node_monitor import NodeMonitor
from dual_hpc.run.journal import read
from tests.unit.tracking.runs import make_run


def wait_for_samples(monitor: NodeMonitor, number: int) -> None:
    until = time.monotonic() + 60
    while len(read(monitor.journal)) < number and time.monotonic() < until:
        time.sleep(0.01)


def test_a_node_is_sampled_until_the_job_ends(tmp_path: Path) -> None:
    run = make_run(tmp_path, "seen")
    monitor = NodeMonitor(run, "n1", 1, 0.02).start()
    wait_for_samples(monitor, 3)
    monitor.stop()
    entries = read(monitor.journal)
    assert len(entries) >= 3 and monitor.journal == run.path / "system" / "n1.jsonl"
    assert all(0 <= entry.metrics["system/cpu_utilization_percentage"] <= 100 for entry in entries[1:])
    count = len(entries)
    time.sleep(0.1)
    assert len(read(monitor.journal)) == count


def test_the_nodes_of_a_job_have_files_and_names_of_their_own(tmp_path: Path) -> None:
    run = make_run(tmp_path, "two")
    monitors = [NodeMonitor(run, node, 2, 0.02).start() for node in ("n1.lab", "../n 2")]
    for monitor in monitors:
        wait_for_samples(monitor, 1)
        monitor.stop()
    files = sorted((run.path / "system").iterdir())
    assert [file.name for file in files] == [".._n_2.jsonl", "n1.lab.jsonl"]
    assert "system/n1.lab/cpu_utilization_percentage" in read(files[1])[0].metrics


def test_a_run_that_another_job_has_taken_over_gets_no_samples_any_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def taken() -> None:
        raise EnvironmentFault("job 8 works on this run")

    run = make_run(tmp_path, "taken")
    monitor = NodeMonitor(run, "n1", 1, 0.01, taken).start()
    monitor._thread.join(60)
    assert not monitor._thread.is_alive() and read(monitor.journal) == []
    assert "job 8 works on this run" in caplog.text


def test_a_sample_takes_few_milliseconds_of_the_processor(tmp_path: Path) -> None:
    from dual_hpc.monitor.gpus import Gpus
    from dual_hpc.monitor.host import read_counters

    monitor = NodeMonitor(make_run(tmp_path, "light"), "n1", 1, 10.0)
    counters, gpus = read_counters(), Gpus()
    begin = time.thread_time()
    for _ in range(50):
        monitor._sample(counters, counters, read_counters(), gpus)
    assert (time.thread_time() - begin) / 50 < 0.01, "of ten seconds: a thousandth"
