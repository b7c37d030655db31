"""The packer is killed at random moments; what it ends with is what an undisturbed one writes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dual_hpc.data.preparation.encode import CODING
from dual_hpc.errors import UserError
from shards import lock
from shards.options import PackOptions
from shards.pack_state import PackState
from shards.packing import pack
from tests.unit.shards.conftest import write_iemocap

pytestmark = pytest.mark.slow

KILLS = 20


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


def start(source: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "launch.cli.main", *arguments(source, out), "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def arguments(source: Path, out: Path) -> list[str]:
    return ["pack", "iemocap", str(source), "--out", str(out), "--video-size", "24", "--shard-samples", "1"]


class Packers:
    """Runs packers one after another, each a fork of one that has everything loaded: the kill meets work, not imports.

    Workers come from the server that a packer uses, which is started once for all of them.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        with open(log, "wb") as errors:
            command = [sys.executable, "-c", _PACKERS]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self._answer()  # loaded

    def begin(self, argv: list[str], patience: float) -> None:
        """Start a packer, to be killed after so many seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([argv, patience]).encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> bool:
        """Wait for it: True if it finished, False if it was killed."""
        code = self._answer()
        assert code in (0, -signal.SIGKILL), self.log.read_text()
        return code == 0

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline() or 99)

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def packers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Packers, Packers]]:
    folder = tmp_path_factory.mktemp("packers")
    both = Packers(folder / "0.log"), Packers(folder / "1.log")
    yield both
    for each in both:
        each.close()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, put: Callable[[str, Path], Path]) -> Path:
    """What an undisturbed command writes of `iemocap`."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_iemocap(folder / "IEMOCAP_full_release", put)
    assert start(folder / "IEMOCAP_full_release", folder / "out", 1).wait() == 0
    return folder / "out"


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in out.glob("*.tar")}


def divided(rng: random.Random, argv: list[str]) -> list[list[str]]:
    """The command as one process, or as the tasks of an array in any order."""
    tasks = rng.choice((1, 1, 2, 3))
    order = rng.sample(range(tasks), tasks)
    argv = [*argv, "--workers", rng.choice("123")]
    return [[*argv, "--array-index", str(index), "--array-count", str(tasks)] for index in order]


@pytest.mark.timeout(600)
def test_killed_at_twenty_random_moments_it_ends_with_the_same_bytes(
    iemocap: Path, reference: Path, packers: tuple[Packers, Packers], tmp_path: Path
) -> None:
    rng, one = random.Random(7), packers[0]
    whole, kills, finished = 0.0, 0, 0
    while kills < KILLS or finished < 2:
        out = tmp_path / f"out{finished}"
        settled: dict[str, tuple[int, int]] = {}
        began, undisturbed = time.monotonic(), True
        while not (out / "index.json").exists() or (out / ".pack").exists():
            for task in divided(rng, arguments(iemocap, out)):
                one.begin(task, rng.uniform(0.0, 1.1) * whole if finished and kills < KILLS else 300.0)
                if one.end():
                    continue
                kills, undisturbed = kills + 1, False
                assert settled.items() <= stamps(out).items(), "a finished shard was packed again"
                settled = stamps(out)
                break
        assert settled.items() <= stamps(out).items() and digests(out) == digests(reference)
        finished += 1
        if undisturbed:
            whole = time.monotonic() - began


@pytest.mark.timeout(600)
def test_tasks_killed_side_by_side_and_divided_anew_end_with_the_same_bytes(
    iemocap: Path, reference: Path, packers: tuple[Packers, Packers], tmp_path: Path
) -> None:
    rng, out, kills = random.Random(11), tmp_path / "out", 0
    began = time.monotonic()
    packers[0].begin(arguments(iemocap, tmp_path / "whole"), 300.0)
    assert packers[0].end()
    whole = time.monotonic() - began
    while not (out / "index.json").exists() or (out / ".pack").exists():
        pair = zip(packers, divided(rng, arguments(iemocap, out)), strict=False)
        begun = [(each, each.begin(task, rng.uniform(0.0, whole) if kills < 6 else 300.0)) for each, task in pair]
        kills += sum(not each.end() for each, _ in begun)
    assert digests(out) == digests(reference)


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


def test_of_two_tasks_that_finish_at_once_one_writes_the_index(iemocap: Path, tmp_path: Path) -> None:
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
        assert refused.returncode != 0 and "is being packed by 1 task(s)" in refused.stderr
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    report = pack("iemocap", iemocap, out, PackOptions(video_size=24))
    assert report is not None and report.packed == 4


def test_a_lock_of_another_host_holds_while_it_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_PATIENCE", 600.0)
    path = tmp_path / ".pack" / "task-0-of-1.lock"
    path.parent.mkdir()
    path.write_text('{"host": "elsewhere", "pid": 1}')
    with monkeypatch.context() as beating:
        beating.setattr("time.sleep", lambda seconds: os.utime(path))  # while it is watched
        with pytest.raises(UserError, match="is being packed by process 1 on elsewhere"), lock.Lock(path):
            pass
    monkeypatch.setattr(lock, "_PATIENCE", 0.5)
    with lock.Lock(path):  # silent while it was watched: that host is gone
        pass
    assert not path.exists()


def test_tasks_that_ask_at_once_after_dead_tasks_of_another_division_do_not_refuse_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_PATIENCE", 1.0)
    folder = tmp_path / ".pack"
    folder.mkdir()
    for number in range(40):  # their node is gone; watched one after the other they would take 40 patiences
        (folder / f"task-{number}-of-40.lock").write_text('{"host": "elsewhere", "pid": 1}')
    began = threading.Barrier(4)

    def begin(number: int) -> None:
        with PackState(tmp_path).task(number, 4, "job", [number]):
            began.wait(300)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(begin, range(4)))


def test_a_division_is_refused_while_a_task_of_another_beats_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_PATIENCE", 600.0)
    path = tmp_path / ".pack" / "task-1-of-2.lock"
    path.parent.mkdir()
    path.write_text('{"host": "elsewhere", "pid": 1}')
    sleep = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: (os.utime(path), sleep(0.01)))  # it beats while it is watched
    with pytest.raises(UserError, match=r"is being packed by 2 task\(s\)"), PackState(tmp_path).task(0, 3, "job", []):
        pass


def test_a_task_that_begins_while_the_last_one_finalizes_packs_nothing_again(
    iemocap: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(reference, tmp_path / "out")
    before = stamps(out)
    finished, asked = PackState.finished, iter([True])
    # It asked before the index came, and has its lock after.
    monkeypatch.setattr(PackState, "finished", lambda self, job: None if next(asked, False) else finished(self, job))
    report = pack("iemocap", iemocap, out, PackOptions(video_size=24, shard_samples=1), array=(1, 2))
    assert report is not None and stamps(out) == before and not (out / ".pack").exists()


def test_a_pack_that_an_earlier_version_left_unfinished_is_continued(
    iemocap: Path, reference: Path, tmp_path: Path
) -> None:
    """The files of `.pack` as they were written before the class of their records was renamed, letter for letter."""
    index = json.loads((reference / "index.json").read_text())
    first, out = index["shards"][0], tmp_path / "out"
    (out / ".pack").mkdir(parents=True)
    (out / ".pack" / f"plan-{index['options']['fingerprint']}").touch()
    shutil.copy(reference / first["name"], out)
    (out / ".pack" / "00000.json").write_text(
        f'{{"shard":{{"name":"{first["name"]}","bytes":{first["bytes"]},"sha256":"{first["sha256"]}",'
        f'"samples":{json.dumps(first["samples"])}}},"skips":[["Ses01F_impro01_F009","an earlier reason"]]}}'
    )
    (out / ".pack" / "00001.json").write_text('{"skips":[["Ses01F_impro01_F010","another"]]}')
    (out / ".pack" / "00002.4711.tmp").write_bytes(b"half a shard")
    (out / ".pack" / "task-0-of-1.lock").write_text('{"host": "gone", "pid": 1}')
    os.utime(out / ".pack" / "task-0-of-1.lock", (0, 0))
    kept = stamps(out)
    report = pack("iemocap", iemocap, out, PackOptions(video_size=24, shard_samples=1))
    assert report is not None and {name: stamps(out)[name] for name in kept} == kept
    assert [skip.reason for skip in report.skipped][-2:] == ["an earlier reason", "another"]
    assert not (out / "shard-00001.tar").exists() and (out / "shard-00002.tar").exists()
    assert not (out / ".pack").exists()
    assert index["options"]["coding"] == str(CODING)
    assert json.loads((out / "index.json").read_text())["options"]["coding"] == f"earlier,{CODING}"


def test_a_damaged_lock_file_does_not_stop_anyone(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_bytes(b"\xff\x00 not json")
    with lock.Lock(path):
        pass


_PACKERS = """
import json, os, signal, sys, time
from multiprocessing import forkserver
from pathlib import Path
import PIL.ImageDraw, launch.cli.pack, shards.packing, shards.pool
from shards.fork_server import fork_context
from launch.cli.main import main
fork_context()
server = forkserver._forkserver
workers = Path(f"/proc/{server._forkserver_pid}/task/{server._forkserver_pid}/children")
print(0, flush=True)
for line in sys.stdin:
    argv, patience = json.loads(line)
    until = time.monotonic() + patience
    packer = os.fork()
    if packer == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        server.ensure_running = lambda: None  # it runs, though it is not this process's child
        os._exit(main(argv))
    done, status = 0, 0
    while not done and time.monotonic() < until:
        time.sleep(0.001)
        done, status = os.waitpid(packer, os.WNOHANG)
    if not done:
        os.kill(packer, signal.SIGKILL)
        _, status = os.waitpid(packer, 0)
    while workers.exists() and workers.read_text().strip():  # they notice that their packer is gone
        time.sleep(0.001)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
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
