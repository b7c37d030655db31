"""A data worker: `main` with the arguments SOCKET STATUS, in a process that `pool.py` starts.

A process of its own, not a fork of the trainer: threads, locks and devices of the parent cannot reach it, and it loads
neither torch nor transformers nor pydantic. One thread reads ahead; the main thread decodes, and delivers whole
micro-batches. It ignores the job's stop signals: the parent decides when to stop, and the worker goes when the parent's
end of the socket does.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from contextlib import nullcontext
from typing import Any

from dual_hpc.data.decoding.decode import load_decoders
from dual_hpc.data.decoding.decoder import Sample, SampleDecoder, Setup
from dual_hpc.data.decoding.pin_to_core import one_core
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.data.layout import contents, lay_out
from dual_hpc.data.workers.activity import DECODING, IDLE, READING, Status
from dual_hpc.data.workers.protocol import DUMP_SIGNAL, IGNORED, Failure, Job, Result
from dual_hpc.data.workers.transfer import receive, send, written
from dual_hpc.errors import DualError


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    status = Status(int(sys.argv[2]))
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())  # the parent blocked them until they are ignored
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    threading.excepthook = _end
    try:
        setup, read_ahead = receive(channel)
    except EOFError:
        return
    if not setup.features:
        load_decoders()
    decoder = SampleDecoder(setup)
    ready: queue.Queue[Any] = queue.Queue(maxsize=read_ahead)
    threading.Thread(target=_read_ahead, args=(channel, decoder, status, ready), daemon=True).start()
    _decode(channel, decoder, setup, status, ready)


def _end(error: threading.ExceptHookArgs) -> None:
    """A thread that failed must not leave a process behind that only waits; the parent starts another."""
    traceback.print_exception(error.exc_type, error.exc_value, error.exc_traceback)
    sys.stderr.flush()
    os._exit(1)


def _read_ahead(channel: socket.socket, decoder: SampleDecoder, status: Status, ready: queue.Queue[Any]) -> None:
    """Job by job and row by row: fetch the bytes; leaves the process when the parent is gone."""
    reader = SampleReader()
    healthy = True
    while True:
        try:
            job: Job = receive(channel)
        except EOFError:
            os._exit(0)
        if not healthy:
            continue  # only waiting for the parent to go
        try:
            for row, request in enumerate(job.rows):
                wanted = decoder.wanted(request)
                status.reading(job.number, row, READING)
                members = reader.read(request.ref, wanted) if request.ref and wanted else {}
                status.reading(job.number, row, IDLE)
                ready.put((job, row, members))
        except DualError as error:
            healthy = False
            ready.put(error)


def _decode(
    channel: socket.socket, decoder: SampleDecoder, setup: Setup, status: Status, ready: queue.Queue[Any]
) -> None:
    """Decode what has been read, row by row, and deliver it, micro-batch by micro-batch."""
    placed = nullcontext if setup.features else one_core
    samples: list[Sample] = []
    while True:
        item = ready.get()
        if isinstance(item, DualError):
            _tell(channel, Failure(item))
            continue
        job, row, members = item
        status.decoding(job.number, row, DECODING)
        with placed():
            samples.append(decoder.decode(job.rows[row], members))
        status.decoding(job.number, row, IDLE)
        if len(samples) == len(job.rows):
            _deliver(channel, job.number, samples, setup)
            samples = []


def _deliver(channel: socket.socket, job: int, samples: list[Sample], setup: Setup) -> None:
    layout = lay_out(samples, setup.settings.image_size, setup.features)
    faults = {row: sample.fault for row, sample in enumerate(samples) if sample.fault is not None}
    try:
        memory = written(layout.size, contents(samples, layout))
    except DualError as error:
        return _tell(channel, Failure(error))
    _tell(channel, Result(job, layout, [sample.text for sample in samples], faults), memory)
    os.close(memory)


def _tell(channel: socket.socket, message: Result | Failure, memory: int | None = None) -> None:
    """The parent asks for few micro-batches at a time, so that the socket takes their messages at once."""
    try:
        send(channel, message, memory)
    except OSError:  # the parent is gone
        os._exit(0)
