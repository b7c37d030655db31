"""Workers that die: the pack goes on, and only what kills them is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault
from shards.corpora import read_corpus
from shards.job import ShardJob
from shards.options import PackOptions
from shards.pool import run_jobs
from shards.report import read_report

# Runs at the start of every interpreter that finds it: decoding one utterance kills the process, as a fault in a
# decoder's C code would.
_FAULT = """
import os
import shards.job
_build = shards.job.build_sample
def _crashing(planned, *rest):
    if planned.key == "Ses01F_impro01_M000":
        os.abort()
    return _build(planned, *rest)
shards.job.build_sample = _crashing
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_utterance_that_crashes_the_decoder_is_the_only_one_left_out(
    iemocap: Path, tmp_path: Path, workers: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_FAULT)
    command = [sys.executable, "-m", "shards.pack", "iemocap", str(iemocap), "--out", str(tmp_path / "out")]
    command += ["--video-size", "24", "--shard-samples", "2", "--workers", workers]
    places = [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = read_report(tmp_path / "out")
    assert report.packed == 3
    assert ("Ses01F_impro01_M000", "the decoder crashed on its media") in [(s.where, s.reason) for s in report.skipped]


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists(), reason="no /proc")
def test_workers_end_with_a_killed_packer(iemocap: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shards.pack", "iemocap", str(iemocap), "--out", str(tmp_path / "out")]
    process = subprocess.Popen([*command, "--shard-samples", "1", "--workers", "2"], stdout=subprocess.DEVNULL)
    workers: list[int] = []
    while len(workers) < 2 and process.poll() is None:
        workers = _children(process.pid)
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers and not any(_alive(pid) for pid in workers)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_failing_disk_is_an_error_and_not_a_skipped_utterance(iemocap: Path, tmp_path: Path) -> None:
    plan = read_corpus("iemocap", iemocap)
    job = ShardJob(0, plan.utterances, plan.root, tmp_path / "absent", PackOptions(video_size=24))
    with pytest.raises(EnvironmentFault, match=r"absent.*the same command continues"):
        run_jobs([job], 1, lambda count: None)


@pytest.mark.timeout(120)
def test_an_interrupt_ends_at_the_next_utterance_and_leaves_no_half_shard(iemocap: Path, tmp_path: Path) -> None:
    plan = read_corpus("iemocap", iemocap)
    (tmp_path / "out" / ".pack").mkdir(parents=True)
    # One shard that would take minutes.
    job = ShardJob(0, plan.utterances * 5000, plan.root, tmp_path / "out", PackOptions(video_size=24))

    def interrupt(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([job], 1, interrupt)
    assert list((tmp_path / "out" / ".pack").iterdir()) == [] and not list((tmp_path / "out").glob("*.tar"))
