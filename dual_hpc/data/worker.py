"""A data worker: `python -m dual_hpc.data.worker SOCKET STATUS`, started by `pool.py`.

A process of its own, not a fork of the trainer: threads, locks and devices of the parent cannot reach it, and it loads
neither torch nor transformers. One thread reads ahead, the main thread decodes. It ignores the job's stop signals: the
parent decides when to stop, and the worker goes when the parent's end of the socket does.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
from typing import Any

from dual_hpc.data.collate import collate
from dual_hpc.data.dataset import Sample, SampleDecoder, Setup
from dual_hpc.data.messages import DUMP_SIGNAL, IGNORED, Failure, Job, Result
from dual_hpc.data.reader import SampleReader
from dual_hpc.data.status import DECODING, IDLE, READING, Status
from dual_hpc.data.transfer import SharedArrays, receive, send
from dual_hpc.errors import DualError


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    status = Status(int(sys.argv[2]))
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())  # the parent blocked them until they are ignored
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    try:
        setup, read_ahead = receive(channel)[0]
        decoder = SampleDecoder(setup)
        ready: queue.Queue[Any] = queue.Queue(maxsize=read_ahead)
        threading.Thread(target=_read_ahead, args=(channel, decoder, status, ready), daemon=True).start()
        _decode(channel, decoder, setup, status, ready)
    except (EOFError, BrokenPipeError):
        pass
    os._exit(0)  # no waiting for a thread that is stuck in a read


def _read_ahead(channel: socket.socket, decoder: SampleDecoder, status: Status, ready: queue.Queue[Any]) -> None:
    """Job by job and row by row: fetch the bytes; leaves the process when the parent is gone."""
    reader = SampleReader()
    try:
        while True:
            job: Job = receive(channel)[0]
            for row, request in enumerate(job.rows):
                wanted = decoder.wanted(request)
                status.reading(job.number, row, READING)
                members = reader.read(request.ref, wanted) if request.ref and wanted else {}
                status.reading(job.number, row, IDLE)
                ready.put((job, row, members))
    except EOFError:
        os._exit(0)
    except DualError as error:
        ready.put(error)


def _decode(
    channel: socket.socket, decoder: SampleDecoder, setup: Setup, status: Status, ready: queue.Queue[Any]
) -> None:
    """Decode what has been read; a finished micro-batch goes to the parent."""
    samples: list[Sample] = []
    while True:
        item = ready.get()
        if isinstance(item, DualError):
            return send(channel, Failure(item))
        job, row, members = item
        status.decoding(job.number, row, DECODING)
        samples.append(decoder.decode(job.rows[row], members))
        status.decoding(job.number, row, IDLE)
        if len(samples) == len(job.rows):
            shared = SharedArrays()
            collate(samples, setup.settings.image_size, setup.features, shared.allocate)
            faults = {row: sample.fault for row, sample in enumerate(samples) if sample.fault is not None}
            send(channel, Result(job.number, shared.places, [s.text for s in samples], faults), shared.descriptor)
            shared.close()
            samples = []


if __name__ == "__main__":
    main()
