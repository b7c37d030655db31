"""Supervises data workers: assigns micro-batches, returns them in order, and survives what kills a worker.

A worker that dies is replaced and its work repeated (`crash_policy` says when a sample is to blame). One that is stuck
in decoding is killed. One that is stuck in reading is only reported, with its stack, until `Timeouts.read` has passed:
slow storage says nothing about the sample.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.decoding.decoder import DecodeConfig, DecodeFailure, Request, SampleDecoder
from dual_hpc.data.layout import batch_in
from dual_hpc.data.workers.activity import BYTES, DECODING, IDLE, READING, Activity, Status
from dual_hpc.data.workers.crash_policy import CrashCounter, cause_of
from dual_hpc.data.workers.protocol import DUMP_SIGNAL, IGNORED, Job, Result, WorkerError
from dual_hpc.data.workers.transfer import map_memfd, receive, send
from dual_hpc.errors import EnvironmentFault
from dual_hpc.heartbeat import beat

log = logging.getLogger(__name__)

# Not `-m`, which looks into the working directory first: a user's `queue.py` there would replace the library's.
_MAIN = "import sys; sys.path[:] = filter(None, sys.path); from dual_hpc.data.workers.worker import main; main()"
_JOBS_PER_WORKER = 2  # micro-batches in flight: the next is at hand when one is done, and memory stays bounded


@dataclass(frozen=True)
class Timeouts:
    """Seconds that a worker may spend on one sample."""

    report: float = 30.0  # then its stacks are printed, again and again
    decode: float = 60.0  # then it is killed
    read: float = 900.0  # then the job ends; a worker that does nothing at all for so long is killed


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    status: Status
    jobs: dict[int, Job] = field(default_factory=dict)  # assigned, no result yet
    seen: list[Activity] = field(default_factory=lambda: [Activity(IDLE, 0, 0)] * 2)  # reader's and decoder's
    stuck: list[float] = field(default_factory=lambda: [0.0, 0.0])  # seconds that each has been at the same sample
    idle: float = 0.0  # seconds that it has had jobs and done nothing
    hung: bool = False  # killed because it was stuck in a decoder


class WorkerPool:
    """`count` worker processes; started at the first use. All methods but `interrupt` belong to one thread at a time.

    Args:
        setup: how samples are decoded.
        read_ahead: samples per worker that are read before they are decoded.
    """

    def __init__(self, count: int, decode_config: DecodeConfig, read_ahead: int, timeouts: Timeouts | None = None):
        self.workers, self._config, self._read_ahead = count, decode_config, read_ahead
        self._in_flight = count * _JOBS_PER_WORKER
        self._timeouts = timeouts or Timeouts()
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._interrupted = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._next_job = 0
        self._crashes = CrashCounter()

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._workers]

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]:
        """The batches made of the requests, in order, until it is interrupted. Results of a run that was abandoned
        are dropped.

        Raises:
            UserError, EnvironmentFault: as the reader raises, or workers die one after the other.
        """
        self._interrupted.clear()
        while len(self._workers) < self.workers:
            self._start()
        first = self._next_job  # older numbers belong to an abandoned run
        next_result = first
        done: dict[int, MicroBatch] = {}
        exhausted = False
        while True:
            while not exhausted and self._next_job - next_result < self._in_flight:
                rows = next(batches, None)
                if rows is None:
                    exhausted = True
                else:
                    idlest = min(self._workers, key=lambda worker: len(worker.jobs))
                    self._assign(idlest, Job(self._next_job, rows))
                    self._next_job += 1
            if next_result == self._next_job:
                return
            while next_result not in done:
                for number, batch in self._wait():
                    if number >= first:
                        done[number] = batch
                if self._interrupted.is_set():
                    return
            yield done.pop(next_result)
            next_result += 1

    def interrupt(self) -> None:
        """Called in another thread: end the present run, even while it waits for a worker."""
        self._interrupted.set()
        self._wake.send(b"\0")

    def close(self) -> None:
        """End the workers: they exit when their socket closes; one that is stuck is killed."""
        for worker in self._workers:
            self._selector.unregister(worker.channel)
            worker.channel.close()
        for worker in self._workers:
            _end(worker)
        self._workers = []

    @staticmethod
    def _assign(worker: _Worker, job: Job) -> None:
        worker.jobs[job.number] = job
        try:
            send(worker.channel, job)
        except OSError:  # dead, or reads nothing any more: it is replaced when its socket is read
            worker.process.kill()

    def _wait(self) -> Iterator[tuple[int, MicroBatch]]:
        """Results that have arrived; also replaces workers that died and checks those that may be stuck."""
        tick = min(1.0, self._timeouts.report / 4)
        events = self._selector.select(timeout=tick)
        for key, _ in events:
            if key.data is None:
                self._woken.recv(64)
                continue
            worker: _Worker = key.data
            try:
                number, batch = self._collect(worker)
            except EOFError:
                self._replace_worker(worker)
                continue
            self._crashes.reset()
            yield number, batch
        if not events:
            for worker in self._workers:
                self._check_stuck(worker, tick)

    def _collect(self, worker: _Worker) -> tuple[int, MicroBatch]:
        """The micro-batch that a worker has sent."""
        message = receive(worker.channel)
        if isinstance(message, WorkerError):
            raise message.error
        assert isinstance(message, Result)
        arrays = batch_in(map_memfd(worker.channel, message.layout.size), message.layout)
        rows = worker.jobs.pop(message.job).rows
        return message.job, MicroBatch(rows, arrays, message.texts, message.failures, message.decoders)

    def _check_stuck(self, worker: _Worker, waited: float) -> None:
        """Report or kill a worker that has been at the same sample for too long.

        Only the time that this process waited is counted, so no worker looks stuck after a suspended job continues.
        """
        limits = (self._timeouts.read, self._timeouts.decode)
        activities = worker.status.activity()
        waits = bool(worker.jobs) and all(activity.phase == IDLE for activity in activities)
        worker.idle = worker.idle + waited if waits else 0.0
        if worker.idle > self._timeouts.read:  # it could not load its libraries, or was stopped (SIGSTOP)
            log.warning("data worker %d has done nothing for %.0f s", worker.process.pid, worker.idle)
            worker.process.kill()
        for thread, activity in enumerate(activities):
            if activity != worker.seen[thread] or activity.phase == IDLE or activity.job not in worker.jobs:
                if activity != worker.seen[thread]:
                    beat()  # another sample is read or decoded
                worker.seen[thread], worker.stuck[thread] = activity, 0.0
                continue
            worker.stuck[thread] += waited
            stuck, reading = worker.stuck[thread], activity.phase == READING
            ref = worker.jobs[activity.job].rows[activity.row].ref
            name = f"{ref.path}: {ref.key}" if ref is not None else "a padding row"
            if stuck // self._timeouts.report > (stuck - waited) // self._timeouts.report:
                what = "reading" if reading else "decoding"
                log.warning("data worker %d has been %s %s for %.0f s", worker.process.pid, what, name, stuck)
                worker.process.send_signal(DUMP_SIGNAL)
            if stuck <= limits[thread]:
                continue
            if reading:
                raise EnvironmentFault(f"reading {name} takes longer than {stuck:.0f} s: storage does not answer")
            worker.hung = True
            worker.process.kill()  # its socket then closes, and it is replaced

    def _replace_worker(self, worker: _Worker) -> None:
        """Replace a dead worker and repeat its jobs, without a sample that has killed its decoder twice."""
        code = _end(worker)
        self._selector.unregister(worker.channel)
        worker.channel.close()
        self._workers.remove(worker)
        log.warning("data worker %d died (%s); it is replaced", worker.process.pid, cause_of(code))
        decoder = worker.status.activity()[1]
        at = None
        if decoder.phase == DECODING and decoder.job in worker.jobs:
            at = worker.jobs[decoder.job].rows[decoder.row]
        reason = self._crashes.blame(code, worker.hung, at)
        self._start()
        for job in worker.jobs.values():
            if reason is not None and at is not None and job.number == decoder.job:
                failure = DecodeFailure(frozenset(SampleDecoder(self._config).members_to_read(at)), reason)
                job.rows[decoder.row] = replace(at, failures=(*at.failures, failure))
            self._assign(self._workers[-1], job)

    def _start(self) -> None:
        try:
            worker = self._spawn()
        except OSError as error:
            raise EnvironmentFault(
                f"cannot start data worker {len(self._workers) + 1} of {self.workers}: {error.strerror}; "
                "lower data.workers or raise the limit"
            ) from error
        self._workers.append(worker)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _spawn(self) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.settimeout(self._timeouts.decode)  # for one message: nothing is decoded meanwhile
        send(ours, (self._config.plain_copy(), self._read_ahead))  # before it starts, as it may die at once
        page = os.memfd_create("dual_hpc-status")
        os.ftruncate(page, BYTES)
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        # One heap for all its threads, so that each can use what another has freed.
        env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        # Signals that arrive before the worker ignores them must neither end it nor be lost on the parent.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, str(theirs.fileno()), str(page)],
                pass_fds=(theirs.fileno(), page),
                stdin=subprocess.DEVNULL,
                env=env,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        theirs.close()
        status = Status(page)
        os.close(page)
        return _Worker(process, ours, status)


def _end(worker: _Worker) -> int:
    """Exit code of a worker that exits; one that does not (stuck, or stopped inside a batch) is killed."""
    try:
        return worker.process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        return worker.process.wait()
