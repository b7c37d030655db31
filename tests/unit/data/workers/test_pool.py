"""What becomes of a run when workers die, hang or meet damage: as the policy says, and nothing hangs."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decoder import DecodeConfig, Request
from dual_hpc.data.loader import EvalLoader, TrainLoader
from dual_hpc.data.workers.activity import DECODING
from dual_hpc.data.workers.pool import Timeouts, WorkerPool
from dual_hpc.errors import EnvironmentFault
from tests.unit.data.conftest import DANGEROUS_AV, Clip, augment_all, kill, settings, write_shards

pytestmark = pytest.mark.slow


def requests(folder: Path) -> list[list[Request]]:
    dataset = ShardDataset([folder])
    return [[Request(dataset.ref(number))] for number in range(len(dataset))]


def failures(pool: WorkerPool, batches: Any) -> list[dict[int, str]]:
    try:
        return [{row: failure.reason for row, failure in made.failures.items()} for made in pool.run(iter(batches))]
    finally:
        pool.close()


def test_a_killed_worker_is_replaced_and_nothing_is_lost(folder: Path) -> None:
    dataset = ShardDataset([folder])
    expected = [b["keys"] for b in EvalLoader(dataset, range(13), range(13), settings(), None, batch_size=2)]
    loader = EvalLoader(dataset, range(13), range(13), settings(workers=2), None, batch_size=2)
    seen = []
    for batch in loader:
        seen.append(batch["keys"])
        assert batch["valid"].tolist() == [bool(key) for key in batch["keys"]]
        pids = loader._source.pids()  # one less than two while the feeding thread replaces the other
        kill(pids[len(seen) % len(pids)])
    loader.close()
    assert seen == expected and not loader.bad_samples


def test_workers_ignore_the_stop_signals_of_the_job(folder: Path) -> None:
    loader = TrainLoader(ShardDataset([folder]), range(13), range(13), settings(workers=2), None, None, 0)
    steps = iter(loader)
    next(steps)
    pids = loader._source.pids()
    for _ in range(3):
        for pid, number in itertools.product(pids, (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP)):
            os.kill(pid, number)
        next(steps)
    assert loader._source.pids() == pids
    loader.close()


def test_signals_that_arrive_while_workers_start_do_not_end_them(folder: Path) -> None:
    pool = WorkerPool(2, DecodeConfig(settings()), 4)
    run = pool.run(iter(requests(folder)))
    pool._start()
    os.kill(pool.pids()[0], signal.SIGTERM)  # long before it has imported anything
    os.kill(pool.pids()[0], signal.SIGUSR2)
    first = pool.pids()[0]
    assert len(list(run)) == 13 and first in pool.pids()
    pool.close()


def test_a_sample_that_crashes_its_decoder_twice_is_bad_and_the_others_are_made(
    tmp_path: Path, media: Any, dangerous: None
) -> None:
    clips = [media(0.3)] * 6
    clips[2] = replace(media(0.3), mp4=b"CRASH")
    batches = requests(write_shards(tmp_path / "s", [clips]))
    assert failures(WorkerPool(2, DecodeConfig(settings()), 4), batches) == [
        {0: "its decoder dies (SIGSEGV)"} if n == 2 else {} for n in range(6)
    ]


def test_a_decoder_that_hangs_is_ended_and_its_stack_is_shown(
    tmp_path: Path, media: Any, dangerous: None, capfd: pytest.CaptureFixture[str]
) -> None:
    clips = [media(0.3), replace(media(0.3), mp4=b"HANG"), media(0.3)]
    batches = requests(write_shards(tmp_path / "s", [clips]))
    pool = WorkerPool(1, DecodeConfig(settings()), 4, Timeouts(report=0.5, decode=2.5))
    begin = time.monotonic()
    assert failures(pool, batches) == [{}, {0: "its decoder hangs"}, {}]
    assert time.monotonic() - begin < 500, "it was not waited for"
    stack = capfd.readouterr().err
    assert "decode_pictures" in stack and "_read_ahead" in stack


def test_decoders_that_take_long_to_load_are_no_samples_fault(tmp_path: Path, media: Any, dangerous: None) -> None:
    slow = "import time; time.sleep(2.5)\n"
    (tmp_path / "path" / "av.py").write_text(slow + DANGEROUS_AV)
    pool = WorkerPool(1, DecodeConfig(settings()), 4, Timeouts(report=0.5, decode=1.5))
    assert failures(pool, requests(write_shards(tmp_path / "s", [[media(0.3)]]))) == [{}]


def test_storage_that_does_not_answer_is_reported_with_a_stack_and_then_given_up(
    folder: Path, dangerous: None, capfd: pytest.CaptureFixture[str]
) -> None:
    batches = requests(folder)
    (folder / "shard-00001.tar.silent").touch()  # opening the shard waits for ever
    pool = WorkerPool(1, DecodeConfig(settings()), 4, Timeouts(report=0.3, read=1.5))
    with pytest.raises(EnvironmentFault, match=r"reading .*shard-00001.*storage does not answer"):
        failures(pool, batches)
    assert "in _file" in capfd.readouterr().err


def test_time_in_which_the_whole_job_was_suspended_does_not_count(tmp_path: Path, media: Any, dangerous: None) -> None:
    slow = replace(media(0.3), mp4=media(0.3).mp4 + b"SLOW")
    pool = WorkerPool(1, DecodeConfig(settings()), 4, Timeouts(report=0.4, decode=4))
    run = pool.run(iter(requests(write_shards(tmp_path / "s", [[media(0.3), slow, media(0.3)]]))))
    next(run)
    (pid,) = pool.pids()
    deadline = time.monotonic() + 300
    while pool._workers[0].status.activity()[1][:2] != (DECODING, 1):
        assert time.monotonic() < deadline
    os.kill(pid, signal.SIGSTOP)
    time.sleep(4.5)  # this process does not look meanwhile: it is suspended as well
    os.kill(pid, signal.SIGCONT)
    assert [made.failures for made in run] == [{}, {}]
    assert pool.pids() == [pid]
    pool.close()


def test_a_worker_that_is_stopped_while_it_decodes_is_replaced(folder: Path) -> None:
    rows = [row for batch in requests(folder) for row in batch]
    pool = WorkerPool(1, DecodeConfig(settings()), 4, Timeouts(report=0.5, decode=5, read=30))
    run = pool.run(iter([rows, rows, rows]))
    first = next(run)
    (pid,) = pool.pids()
    deadline = time.monotonic() + 300
    while pool._workers[0].status.activity()[1].phase != DECODING:
        assert time.monotonic() < deadline
    os.kill(pid, signal.SIGSTOP)
    others = list(run)
    assert pid not in pool.pids() and len(others) == 2
    for batch in others:
        assert not batch.failures
        assert all((batch.arrays[name] == array).all() for name, array in first.arrays.items())
    pool.close()


def test_a_worker_that_was_stopped_while_it_had_nothing_to_do_is_replaced(folder: Path) -> None:
    batches = requests(folder)
    pool = WorkerPool(1, DecodeConfig(settings()), 4, Timeouts(report=0.5, read=8))
    before = list(pool.run(iter(batches)))
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    after = list(pool.run(iter(batches)))
    assert pid not in pool.pids()
    assert [made.rows for made in after] == [made.rows for made in before] and not any(m.failures for m in after)
    pool.close()


def test_batches_outlive_their_workers(folder: Path) -> None:
    loader = EvalLoader(ShardDataset([folder]), range(13), range(13), settings(workers=2), None, batch_size=2)
    here = EvalLoader(ShardDataset([folder]), range(13), range(13), settings(), None, batch_size=2)
    kept = list(loader)
    loader.close()
    for one, other in zip(kept, here, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in ("waveform", "frames", "durations"))


def test_a_batch_that_finds_no_memory_ends_the_run_in_one_line(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    pool = WorkerPool(1, DecodeConfig(settings()), 4)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(EnvironmentFault, match=r"no memory for a batch of .* MB: .*; lower data\.micro_batch"):
            next(pool.run(iter(requests(folder))))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        pool.close()


def test_workers_that_cannot_start_end_the_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "soundfile.py").write_text("")
    (tmp_path / "path" / "numpy.py").write_text("raise SystemExit(9)")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    with pytest.raises(EnvironmentFault, match=r"workers died in a row \(exit code 9\)"):
        failures(WorkerPool(1, DecodeConfig(settings()), 4), requests(folder))


def test_workers_do_not_take_the_users_files_for_the_librarys(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert failures(WorkerPool(1, DecodeConfig(settings()), 4), requests(folder)[:1]) == [{}]


def test_a_machine_that_has_no_room_for_workers_is_told_in_one_line(folder: Path) -> None:
    batches = requests(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    pool = WorkerPool(3, DecodeConfig(settings()), 4)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(EnvironmentFault, match=r"cannot start data worker 1 of 3: Too many open files; lower"):
            next(pool.run(iter(batches)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        pool.close()


def test_working_workers_have_loaded_decoders_but_neither_torch_nor_pydantic(folder: Path) -> None:
    loader = TrainLoader(ShardDataset([folder]), range(13), range(13), settings(workers=1), augment_all(), None, 0)
    steps = iter(loader)
    for _ in range(3):
        next(steps)
    (pid,) = loader._source.pids()
    with open(f"/proc/{pid}/maps") as file:
        loaded = file.read()
    loader.close()
    assert "libavcodec" in loaded and not any(f"/{name}" in loaded for name in ("torch", "pydantic_core", "_yaml"))


def test_workers_go_when_their_parent_is_killed(folder: Path) -> None:
    code = (
        "import sys, time; from dual_hpc.config.schema import DataConfig;"
        "from dual_hpc.data.dataset import ShardDataset;"
        "from dual_hpc.data.loader import TrainLoader;"
        f"l = TrainLoader(ShardDataset([{str(folder)!r}]), range(13), range(13), DataConfig(workers=2), None, None, 0);"
        "next(iter(l)); print(*l._source.pids(), flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    assert len(pids) == 2
    deadline = time.monotonic() + 300
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def test_an_abandoned_iteration_leaves_nothing_behind(folder: Path) -> None:
    batches = requests(folder)
    pool = WorkerPool(2, DecodeConfig(settings()), 4)
    next(pool.run(iter(batches)))
    made = [one.rows[0].ref.number for one in pool.run(iter(batches[5:]))]
    pool.close()
    assert made == list(range(5, 13))


def test_batches_hold_no_file_descriptors(folder: Path) -> None:
    loader = TrainLoader(ShardDataset([folder]), range(13), range(13), settings(workers=1), None, None, 0)
    steps = iter(loader)
    kept = [next(steps)]
    before = len(os.listdir("/proc/self/fd"))
    kept += [next(steps) for _ in range(20)]
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    loader.close()


def test_a_transcript_that_is_not_utf8_is_a_bad_sample(tmp_path: Path, media: Any) -> None:
    clip = Clip(
        0.3, media(0.3).flac, media(0.3).mp4, text="\udcff".encode("utf-8", "surrogateescape").decode("latin-1")
    )
    folder = write_shards(tmp_path / "s", [[clip]])
    path = folder / "shard-00000.tar"
    ref = ShardDataset([folder]).ref(0)
    data = bytearray(path.read_bytes())
    data[ref.members["txt"][0]] = 0xFF
    path.write_bytes(data)
    assert "text" in failures(WorkerPool(1, DecodeConfig(settings()), 4), requests(folder))[0][0]


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
