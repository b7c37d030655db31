"""A data worker: `main` with the arguments SOCKET STATUS, in a process that `pool.py` starts.

A process of its own, not a fork of the trainer: threads, locks and devices of the parent cannot reach it, and it loads
neither torch nor transformers nor pydantic. One thread reads ahead; the main thread decodes, and delivers whole
micro-batches. It ignores the job's stop signals: the parent decides when to stop, and the worker exits when the
parent's end of the socket closes. Features, which need no decoding, are read and delivered by one thread.
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
from collections.abc import Callable
from typing import Any, NoReturn

from dual_hpc.data.decoding.decode import load_decoders
from dual_hpc.data.decoding.decoder import DecodeConfig, Sample, SampleDecoder
from dual_hpc.data.decoding.decoder_counts import count
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.data.layout import contents, lay_out
from dual_hpc.data.workers.activity import DECODING, IDLE, READING, Status
from dual_hpc.data.workers.feature_rows import FeatureReader, NotPlain
from dual_hpc.data.workers.protocol import DUMP_SIGNAL, IGNORED, Job, Result, WorkerError
from dual_hpc.data.workers.transfer import memfd_from, receive, send
from dual_hpc.errors import DualError


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    status = Status(int(sys.argv[2]))
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())  # the parent blocked them until they are ignored
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    threading.excepthook = _exit_on_error
    try:
        decode_config, read_ahead = receive(channel)
    except EOFError:
        return
    decoder = SampleDecoder(decode_config)
    if decode_config.features:
        _serve_features(channel, decoder, decode_config, status)
    load_decoders()
    ready: queue.Queue[Any] = queue.Queue(maxsize=read_ahead)
    threading.Thread(target=_read_ahead, args=(channel, decoder, status, ready), daemon=True).start()
    _decode(channel, decoder, decode_config, status, ready)


def _exit_on_error(error: threading.ExceptHookArgs) -> None:
    """A thread that failed must not leave a process that only waits; the parent starts another."""
    traceback.print_exception(error.exc_type, error.exc_value, error.exc_traceback)
    sys.stderr.flush()
    os._exit(1)


def _each_job(channel: socket.socket, work: Callable[[Job], None], fail: Callable[[DualError], None]) -> NoReturn:
    """Job by job; after one that has failed only wait for the parent to close the socket, which ends the process."""
    failed = False
    while True:
        try:
            job: Job = receive(channel)
        except EOFError:
            os._exit(0)
        if failed:
            continue
        try:
            work(job)
        except DualError as error:
            failed = True
            fail(error)


def _read_ahead(channel: socket.socket, decoder: SampleDecoder, status: Status, ready: queue.Queue[Any]) -> NoReturn:
    """Row by row: read the bytes."""
    reader = SampleReader()

    def read(job: Job) -> None:
        for row, request in enumerate(job.rows):
            extensions = decoder.members_to_read(request)
            status.reading(job.number, row, READING)
            members = reader.read(request.ref, extensions) if request.ref and extensions else {}
            status.reading(job.number, row, IDLE)
            ready.put((job, row, members))

    _each_job(channel, read, ready.put)


def _decode(
    channel: socket.socket, decoder: SampleDecoder, decode_config: DecodeConfig, status: Status, ready: queue.Queue[Any]
) -> None:
    """Decode what has been read, row by row, and deliver it, micro-batch by micro-batch."""
    samples: list[Sample] = []
    while True:
        item = ready.get()
        if isinstance(item, DualError):
            _send(channel, WorkerError(item))
            continue
        job, row, members = item
        status.decoding(job.number, row, DECODING)
        samples.append(decoder.decode(job.rows[row], members))
        status.decoding(job.number, row, IDLE)
        if len(samples) == len(job.rows):
            _deliver(channel, job.number, samples, decode_config)
            samples = []


def _serve_features(
    channel: socket.socket, decoder: SampleDecoder, decode_config: DecodeConfig, status: Status
) -> NoReturn:
    """Features need no decoding worth a thread of its own: read, check and deliver, micro-batch by micro-batch."""
    reader = SampleReader()
    features = FeatureReader(decode_config, decoder, reader)

    def serve(job: Job) -> None:
        if _deliver_plain(channel, job, features, status):
            return
        samples = []
        for row, request in enumerate(job.rows):
            status.reading(job.number, row, READING)
            extensions = decoder.members_to_read(request)
            members = reader.read(request.ref, extensions) if request.ref and extensions else {}
            samples.append(decoder.decode(request, members))
        status.reading(job.number, 0, IDLE)
        _deliver(channel, job.number, samples, decode_config)

    _each_job(channel, serve, lambda error: _send(channel, WorkerError(error)))


def _deliver_plain(channel: socket.socket, job: Job, features: FeatureReader, status: Status) -> bool:
    """Deliver a micro-batch straight from the tars; False if it must be made sample by sample."""
    if (plan := features.plan(job.rows)) is None:
        return False
    contents = features.contents(plan, lambda row: status.reading(job.number, row, READING))
    try:
        memory = memfd_from(plan.layout.size, contents)
    except NotPlain:
        return False
    status.reading(job.number, 0, IDLE)
    _send(channel, Result(job.number, plan.layout, plan.texts, {}, {}), memory)
    os.close(memory)
    return True


def _deliver(channel: socket.socket, job: int, samples: list[Sample], decode_config: DecodeConfig) -> None:
    layout = lay_out(samples, decode_config.settings.image_size, decode_config.layout)
    failures = {row: sample.failure for row, sample in enumerate(samples) if sample.failure is not None}
    try:
        memory = memfd_from(layout.size, contents(samples, layout))
    except DualError as error:
        return _send(channel, WorkerError(error))
    decoders = count(sample.video_decoder for sample in samples)
    _send(channel, Result(job, layout, [sample.text for sample in samples], failures, decoders), memory)
    os.close(memory)


def _send(channel: socket.socket, message: Result | WorkerError, memory: int | None = None) -> None:
    """Never blocks for long: the parent asks for few micro-batches at a time, so messages fit into the socket."""
    try:
        send(channel, message, memory)
    except OSError:  # the parent is gone
        os._exit(0)
