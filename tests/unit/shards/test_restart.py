"""The packer is killed at random moments; what it ends with is what an undisturbed one writes."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from shards import lock
from shards.options import PackOptions
from shards.packing import pack

KILLS = 20


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


def start(source: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    arguments = ["iemocap", str(source), "--out", str(out), "--video-size", "24", "--shard-samples", "1"]
    code = "import sys; from shards.pack import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments, "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


@pytest.mark.timeout(600)
def test_killed_at_twenty_random_moments_it_ends_with_the_same_bytes(iemocap: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    reference = tmp_path / "reference"
    began = time.monotonic()
    assert start(iemocap, reference, 1).wait() == 0
    whole = time.monotonic() - began
    kills = finished = 0
    while kills < KILLS or finished == 0:
        out = tmp_path / f"out{finished}"
        settled: dict[str, tuple[int, int]] = {}
        while True:
            # Mostly past the start of the interpreter, where the work is.
            patience = rng.uniform(0.35, 1.1) * whole if kills < KILLS else 120.0
            process = start(iemocap, out, rng.choice((1, 2)))
            try:
                code = process.wait(patience)
            except subprocess.TimeoutExpired:
                kill(process)
                kills += 1
                now = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in out.glob("*.tar")}
                assert settled.items() <= now.items(), "a finished shard was packed again"
                settled = now
                continue
            assert code == 0, process.stderr and process.stderr.read()
            assert process.stderr is not None
            process.stderr.close()
            break
        assert digests(out) == digests(reference)
        assert not (out / ".pack").exists()
        finished += 1


def test_killed_at_any_file_of_its_summary_it_leaves_nothing_behind(iemocap: Path, tmp_path: Path) -> None:
    options = PackOptions(video_size=24)
    pack("iemocap", iemocap, tmp_path / "reference", options)
    written = ["report.json", "report.md", "contact_sheet.png", "index.json"]
    for before in range(len(written) + 1):
        out = tmp_path / f"out{before}"
        command = [sys.executable, "-c", _DIE, str(iemocap), str(out), str(before)]
        died = subprocess.run(command, check=False).returncode == 9
        assert died == (before < len(written))
        assert [name for name in written if (out / name).exists()] == written[:before]
        pack("iemocap", iemocap, out, options)
        assert digests(out) == digests(tmp_path / "reference")


def test_of_two_tasks_that_finish_at_once_one_sums_up(iemocap: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pack("iemocap", iemocap, out, PackOptions(video_size=24, shard_samples=2), array=(0, 2)) is None
    with lock.Lock(out / ".pack" / "sum-up.lock"):
        assert pack("iemocap", iemocap, out, PackOptions(video_size=24, shard_samples=2), array=(1, 2)) is None
    assert not (out / "index.json").exists()
    report = pack("iemocap", iemocap, out, PackOptions(video_size=24, shard_samples=2), array=(1, 2))
    assert report is not None and (out / "index.json").exists()


def test_a_second_packer_is_refused_while_the_first_lives(iemocap: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / ".pack").mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(out / ".pack" / "task-0-of-1.lock")], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        second = start(iemocap, out, 1)
        assert second.stderr is not None
        message = second.stderr.read().decode()
        assert second.wait() == 2 and f"is being packed by process {holder.pid}" in message
        second.stderr.close()
        refused = subprocess.run(
            [sys.executable, "-c", _ARRAY, str(iemocap), str(out)], stderr=subprocess.PIPE, text=True, check=False
        )
        assert refused.returncode != 0 and "is being packed in 1 part(s)" in refused.stderr
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()  # type: ignore[union-attr]
    report = pack("iemocap", iemocap, out, PackOptions(video_size=24))
    assert report is not None and report.packed == 4


def test_a_lock_of_another_host_holds_while_it_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_PATIENCE", 0.5)
    path = tmp_path / ".pack" / "task-0-of-1.lock"
    path.parent.mkdir()
    path.write_text('{"host": "elsewhere", "pid": 1}')
    heart = threading.Timer(0.2, os.utime, [path])
    heart.start()
    with pytest.raises(UserError, match="is being packed by process 1 on elsewhere"), lock.Lock(path):
        pass
    heart.join()
    with lock.Lock(path):  # silent while it was watched: that host is gone
        pass
    assert not path.exists()


def test_a_damaged_lock_file_does_not_stop_anyone(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_bytes(b"\xff\x00 not json")
    with lock.Lock(path):
        pass


_HOLD = """
import sys, time
from pathlib import Path
from shards.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
_DIE = """
import os, sys
from pathlib import Path
from shards.options import PackOptions
from shards.packing import pack
left, rename = int(sys.argv[3]), os.replace
def replace(source, target):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    rename(source, target)
os.replace = replace
pack("iemocap", Path(sys.argv[1]), Path(sys.argv[2]), PackOptions(video_size=24))
"""
_ARRAY = """
import sys
from pathlib import Path
from shards.packing import pack
pack("iemocap", Path(sys.argv[1]), Path(sys.argv[2]), array=(0, 2))
"""
