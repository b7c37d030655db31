"""Supervises data workers: hands out micro-batches, returns them in order, and outlives what kills a worker.

A worker that dies while it decodes is replaced and its work repeated; a sample that was being decoded at two deaths is
bad. One that is stuck in decoding is killed, which counts as a death; one that is stuck in reading is only reported,
with its stack, because slow storage is nobody's fault, until patience ends.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.dataset import Request
from dual_hpc.data.messages import DUMP_SIGNAL, IGNORED, Failure, Job, Result, Setup
from dual_hpc.data.status import BYTES, DECODING, READING, Status
from dual_hpc.data.transfer import receive, send, view
from dual_hpc.errors import EnvironmentFault

log = logging.getLogger(__name__)

_DEATHS_PER_SAMPLE = 2
_DEATHS_WITHOUT_RESULT = 6


@dataclass(frozen=True)
class Patience:
    """Seconds: until a stuck worker's stacks are printed, a decoder is killed, a read is given up."""

    report: float = 30.0
    decode: float = 120.0
    read: float = 900.0


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    status: Status
    jobs: dict[int, Job] = field(default_factory=dict)  # handed out, not yet back
    reported: float = 0.0  # when its stacks were last printed


class WorkerPool:
    """`count` worker processes; started at the first use.

    Args:
        setup: what every worker needs to know.
        jobs_per_worker: micro-batches in flight per worker: bounds memory.
    """

    def __init__(self, count: int, setup: Setup, jobs_per_worker: int = 2, patience: Patience | None = None):
        self._count, self._setup, self._in_flight = count, setup, count * jobs_per_worker
        self._patience = patience or Patience()
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._next_job = 0
        self._strikes: Counter[int] = Counter()
        self._silent_deaths = 0

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._workers]

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]:
        """The batches made of the requests, in order. What an abandoned run left behind is dropped.

        Raises:
            UserError, EnvironmentFault: as the reader says, or workers die without end.
        """
        while len(self._workers) < self._count:
            self._start()
        first = self._next_job  # older numbers belong to an abandoned run
        wanted = first
        done: dict[int, MicroBatch] = {}
        exhausted = False
        while True:
            while not exhausted and self._next_job - wanted < self._in_flight:
                rows = next(batches, None)
                if rows is None:
                    exhausted = True
                else:
                    idlest = min(self._workers, key=lambda worker: len(worker.jobs))
                    self._give(idlest, Job(self._next_job, rows))
                    self._next_job += 1
            if wanted == self._next_job:
                return
            while wanted not in done:
                for number, batch in self._wait():
                    if number >= first:
                        done[number] = batch
            yield done.pop(wanted)
            wanted += 1

    def close(self) -> None:
        """End the workers: they leave when their socket closes; one that is stuck is killed."""
        for worker in self._workers:
            self._selector.unregister(worker.channel)
            worker.channel.close()
        for worker in self._workers:
            try:
                worker.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._workers = []

    @staticmethod
    def _give(worker: _Worker, job: Job) -> None:
        worker.jobs[job.number] = job
        with suppress(OSError):  # a dead worker is noticed, and the job repeated, when its socket is read
            send(worker.channel, job)

    def _wait(self) -> Iterator[tuple[int, MicroBatch]]:
        """Results that have come in; also looks after workers that died or hang."""
        events = self._selector.select(timeout=min(1.0, self._patience.report / 4))
        for key, _ in events:
            worker: _Worker = key.data
            try:
                message, descriptor = receive(worker.channel)
            except EOFError:
                self._bury(worker)
                continue
            if isinstance(message, Failure):
                raise message.error
            assert isinstance(message, Result) and descriptor is not None
            self._silent_deaths = 0
            arrays = view(descriptor, message.places)
            os.close(descriptor)
            rows = worker.jobs.pop(message.job).rows
            yield message.job, MicroBatch(rows, arrays, message.texts, message.faults)
        if not events:
            for worker in self._workers:
                self._look_after(worker)

    def _look_after(self, worker: _Worker) -> None:
        now = time.monotonic()
        reader, decoder = worker.status.activity()
        for activity, phase, limit in (
            (reader, READING, self._patience.read),
            (decoder, DECODING, self._patience.decode),
        ):
            if activity.phase != phase or activity.job not in worker.jobs:
                continue
            stuck = now - activity.since
            request = worker.jobs[activity.job].rows[activity.row]
            name = f"{request.ref.path}:{request.ref.key}" if request.ref else "a filler"
            what = "reading" if phase == READING else "decoding"
            if stuck > self._patience.report and now - worker.reported > self._patience.report:
                worker.reported = now
                log.warning("data worker %d is %s %s for %.0f s", worker.process.pid, what, name, stuck)
                worker.process.send_signal(DUMP_SIGNAL)
            if stuck > limit:
                if phase == READING:
                    raise EnvironmentFault(f"reading {name} takes longer than {limit:.0f} s: storage does not answer")
                worker.process.kill()  # its socket then ends, and _bury decides

    def _bury(self, worker: _Worker) -> None:
        """Replace a dead worker and repeat its work, without a sample that killed twice."""
        code = worker.process.wait()
        self._selector.unregister(worker.channel)
        worker.channel.close()
        self._workers.remove(worker)
        self._silent_deaths += 1
        _, decoder = worker.status.activity()
        jobs = dict(worker.jobs)
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        log.warning("data worker %d died (%s); it is replaced", worker.process.pid, cause)
        if decoder.phase == DECODING and decoder.job in jobs:
            rows = list(jobs[decoder.job].rows)
            ref = rows[decoder.row].ref
            if ref is not None:
                self._strikes[ref.number] += 1
                if self._strikes[ref.number] >= _DEATHS_PER_SAMPLE:
                    rows[decoder.row] = replace(rows[decoder.row], fault=f"its decoder died ({cause})")
                    jobs[decoder.job] = Job(decoder.job, rows)
                    self._silent_deaths = 0
        if self._silent_deaths >= _DEATHS_WITHOUT_RESULT:
            raise EnvironmentFault(f"data workers die without a result ({cause}); memory of the job, or see the log")
        self._start()
        for job in jobs.values():
            self._give(self._workers[-1], job)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        page = os.memfd_create("dual_hpc-status")
        os.ftruncate(page, BYTES)
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        # Signals that arrive before the worker ignores them must neither end it nor be lost on the parent.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "dual_hpc.data.worker", str(theirs.fileno()), str(page)],
                pass_fds=(theirs.fileno(), page),
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        theirs.close()
        worker = _Worker(process, ours, Status(page))
        os.close(page)
        self._workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)
        send(ours, self._setup)
