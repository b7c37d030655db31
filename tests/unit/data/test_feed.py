"""The step is fed: the loader works while the step computes, and a step begins with its first micro-batch.

No clock decides: loading and computing meet at barriers, which break where one would have to wait for the other.
"""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.data import loader as loader_module
from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decoder import DecodeConfig, Request
from dual_hpc.data.feed import DEPTH
from dual_hpc.data.loader import EvalLoader, TrainLoader
from dual_hpc.data.workers.source import InProcess
from dual_hpc.errors import UserError
from dual_hpc.heartbeat import data_wait_seconds
from tests.unit.data.conftest import augment_all, kill, settings

PATIENCE = 120.0


def train_loader(folder: Path, **changes: Any) -> TrainLoader:
    return TrainLoader(ShardDataset([folder]), range(13), range(13), settings(**changes), augment_all(), None, 0)


def feeding_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "run ahead"]


class Gated(InProcess):
    """Makes micro-batch n when `gate(n)` returns; for all the loader knows, in workers."""

    workers = 1

    def __init__(self, decode_config: DecodeConfig, gate: Any) -> None:
        super().__init__(decode_config)
        self._gate, self.ended = gate, threading.Event()

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]:
        for number, micro_batch in enumerate(super().run(batches)):
            self._gate(number)
            if self.ended.is_set():
                return
            yield micro_batch

    def interrupt(self) -> None:
        self.ended.set()


def gated(monkeypatch: pytest.MonkeyPatch, gate: Any) -> None:
    monkeypatch.setattr(loader_module, "open_source", lambda config, workers, ahead: Gated(config, gate))


def test_every_micro_batch_is_loaded_while_the_one_before_is_computed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    last = 11
    gated(monkeypatch, lambda number: both.wait() if 0 < number <= last else None)
    loader = train_loader(folder)
    computed = []
    for number, batch in enumerate(itertools.islice(loader.micro_batches(), last + 1)):
        computed += batch["keys"]
        if number < last:
            both.wait()  # computing: it takes as long as loading the next one
    loader.close()
    monkeypatch.undo()
    plain = train_loader(folder)
    assert computed == [key for step in itertools.islice(plain, 6) for micro in step for key in micro["keys"]]


def test_a_step_begins_when_its_first_micro_batch_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    gated(monkeypatch, lambda number: number == 0 or begun.wait(PATIENCE))
    loader = train_loader(folder)
    step = itertools.islice(loader.micro_batches(), loader.accumulation)
    next(step)
    assert not begun.is_set() and loader.state_dict()["samples_consumed"] == 0
    begun.set()
    assert len(list(step)) == 1 and loader.state_dict()["samples_consumed"] == 4
    loader.close()


def test_what_is_made_ahead_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = threading.Semaphore(0)
    gated(monkeypatch, lambda number: made.release())
    loader = train_loader(folder)
    batches = loader.micro_batches()
    next(batches)
    for _ in range(1 + DEPTH):
        assert made.acquire(timeout=PATIENCE)
    assert not made.acquire(timeout=0.1)
    loader.close()


def test_an_error_of_the_loader_reaches_the_step_and_leaves_no_thread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gate(number: int) -> None:
        if number == 3:
            raise UserError("data.shards: gone")

    gated(monkeypatch, gate)
    loader = train_loader(folder)
    batches = loader.micro_batches()
    for _ in range(3):
        next(batches)
    with pytest.raises(UserError, match="gone"):
        next(batches)
    loader.close()
    assert not feeding_threads() and data_wait_seconds() is None


def test_a_wait_for_data_is_known_while_it_lasts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float | None] = []

    def gate(number: int) -> None:
        if number == 2:  # not made before the third is asked for, as only that wait ends this
            while (seconds := data_wait_seconds()) is None:
                time.sleep(0.01)
            seen.append(seconds)

    gated(monkeypatch, gate)
    loader = train_loader(folder)
    list(itertools.islice(loader.micro_batches(), 3))
    loader.close()
    assert len(seen) == 1 and seen[0] is not None and seen[0] >= 0 and data_wait_seconds() is None


@pytest.mark.slow
def test_a_loader_that_is_closed_or_left_ends_its_thread_and_its_workers(folder: Path) -> None:
    for leave in (False, True):
        loader: Any = train_loader(folder, workers=2)
        batches: Any = loader.micro_batches()
        next(batches)
        pids = loader._source.pids()
        assert len(pids) == 2 and len(feeding_threads()) == 1
        if leave:
            del loader, batches
            gc.collect()  # a selector refers to itself
        else:
            loader.close()
        assert not feeding_threads()
        deadline = time.monotonic() + PATIENCE
        while any(is_alive(pid) for pid in pids):
            assert time.monotonic() < deadline, "a worker is left"
            time.sleep(0.05)


@pytest.mark.slow
def test_workers_that_are_killed_while_the_step_computes_are_replaced_and_nothing_is_lost(folder: Path) -> None:
    plain = train_loader(folder)
    expected = [micro for step in itertools.islice(plain, 5) for micro in step]
    loader = train_loader(folder, workers=2)
    for number, (batch, due) in enumerate(zip(loader.micro_batches(), expected, strict=False)):
        assert batch["keys"] == due["keys"] and batch["waveform"].equal(due["waveform"])
        if number in (1, 4):
            for pid in loader._source.pids():  # type: ignore[attr-defined]
                kill(pid)
    loader.close()


@pytest.mark.slow
def test_a_validation_that_is_left_in_the_middle_begins_anew(folder: Path) -> None:
    loader = EvalLoader(ShardDataset([folder]), range(13), range(13), settings(workers=1), None, batch_size=2)
    whole = [batch["keys"] for batch in loader]
    left = iter(loader)
    next(left)
    assert [batch["keys"] for batch in loader] == whole and len(feeding_threads()) <= 1
    loader.close()
    assert not feeding_threads()


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
