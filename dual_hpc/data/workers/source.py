"""Where micro-batches come from: this process, or a pool of workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from dual_hpc.data.collate import MicroBatch, collate
from dual_hpc.data.decoding.decoder import Request, SampleDecoder, Setup
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.data.workers.pool import WorkerPool


class BatchSource(Protocol):
    """Makes micro-batches from requests, in order."""

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]: ...

    def close(self) -> None: ...


class InProcess:
    """No workers: reads and decodes when asked. A decoder that crashes takes the process along."""

    def __init__(self, setup: Setup):
        self._setup, self._decoder, self._reader = setup, SampleDecoder(setup), SampleReader()

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]:
        for rows in batches:
            samples = []
            for request in rows:
                wanted = self._decoder.wanted(request)
                members = self._reader.read(request.ref, wanted) if request.ref and wanted else {}
                samples.append(self._decoder.decode(request, members))
            faults = {row: sample.fault for row, sample in enumerate(samples) if sample.fault is not None}
            arrays = collate(samples, self._setup.settings.image_size, self._setup.features)
            yield MicroBatch(rows, arrays, [sample.text for sample in samples], faults)

    def close(self) -> None:
        self._reader.close()


def open_source(setup: Setup, workers: int, read_ahead: int) -> BatchSource:
    """A pool of worker processes, or this process if `workers` is 0."""
    return WorkerPool(workers, setup, read_ahead) if workers else InProcess(setup)
