"""Workers that die: the pack goes on, and only what kills them is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shards.corpora import read_corpus
from shards.job import ShardJob
from shards.options import PackOptions
from shards.packing import pack
from shards.pool import run_jobs
from shards.report import read_report

pytestmark = pytest.mark.slow

# Runs at the start of every interpreter that finds it: decoding one utterance kills the process, as a fault in a
# decoder's C code would, or never ends.
_FAULT = """
import os, time
import shards.job, shards.pool
shards.pool._LONGEST = 5.0
_build = shards.job.build_sample
def _faulty(planned, *rest):
    if planned.key == "Ses01F_impro01_M000":
        {fault}
    return _build(planned, *rest)
shards.job.build_sample = _faulty
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("workers", "fault"), [("1", "os.abort()"), ("2", "os.abort()"), ("1", "time.sleep(900)")])
def test_an_utterance_that_crashes_or_stalls_the_decoder_is_the_only_one_left_out(
    iemocap: Path, tmp_path: Path, workers: str, fault: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_FAULT.format(fault=fault))
    command = [sys.executable, "-m", "launch.cli.main", "pack", "iemocap", str(iemocap), "--out", str(tmp_path / "out")]
    command += ["--video-size", "24", "--shard-samples", "2", "--workers", workers]
    places = [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = read_report(tmp_path / "out")
    assert report.packed == 3
    (reason,) = (skip.reason for skip in report.skipped if skip.where == "Ses01F_impro01_M000")
    assert reason == (
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav, Session1/dialog/avi/DivX/Ses01F_impro01.avi: "
        "the decoder crashed on it or never ended"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(400)
def test_a_long_name_of_the_temporary_folder_does_not_matter(iemocap: Path, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    command = [sys.executable, "-m", "launch.cli.main", "pack", "iemocap", str(iemocap), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "TMPDIR": str(long)}
    done = subprocess.run(
        [*command, "--video-size", "24"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "packed 4 of 5" in done.stdout and done.stderr == ""


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.mark.timeout(400)
@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists(), reason="no /proc")
def test_workers_end_with_a_killed_packer(iemocap: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launch.cli.main", "pack", "iemocap", str(iemocap), "--out", str(tmp_path / "out")]
    process = subprocess.Popen([*command, "--shard-samples", "1", "--workers", "2"], stdout=subprocess.DEVNULL)
    workers: list[int] = []
    while len(workers) < 2 and process.poll() is None:
        workers = _children(process.pid)
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 300
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
    with pytest.raises(OSError, match="absent"):
        run_jobs([job], 1, lambda count: None)


# Files may not grow beyond this size, as on a disk that is full; the workers inherit the limit.
_FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
from launch.cli.main import main
sys.exit(main(["pack", *sys.argv[1:]]))
"""


@pytest.mark.timeout(400)
def test_a_disk_that_fills_up_is_one_line_and_the_same_command_continues(
    iemocap: Path, packed_iemocap: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ["--video-size", "24", "--shard-samples", "2"]
    command = [sys.executable, "-c", _FULL, "iemocap", str(iemocap), "--out", str(out), *options]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}  # a short log of traces, which fits
    full = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert full.returncode == 1 and full.stderr.count("\n") == 1 and "the same command continues" in full.stderr
    assert f"{out}/shard-00000.tar: File too large" in full.stderr
    assert [path.name for path in out.iterdir()] == [".pack"] and not list((out / ".pack").glob("*.tmp"))
    pack("iemocap", iemocap, out, PackOptions(video_size=24, shard_samples=2))
    assert (out / "index.json").read_bytes() == (packed_iemocap / "index.json").read_bytes()


@pytest.mark.timeout(400)
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
