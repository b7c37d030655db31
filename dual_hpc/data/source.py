"""Where micro-batches come from: this process, or a pool of workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from dual_hpc.data.collate import MicroBatch, collate
from dual_hpc.data.dataset import Request, SampleDecoder
from dual_hpc.data.messages import Setup
from dual_hpc.data.pool import Patience, WorkerPool
from dual_hpc.data.reader import SampleReader
from dual_hpc.data.settings import AugmentSettings, LoaderSettings


class BatchSource(Protocol):
    """Makes micro-batches from requests, in order."""

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]: ...

    def close(self) -> None: ...


class InProcess:
    """No workers: reads and decodes when asked. A decoder that crashes takes the process along."""

    def __init__(self, settings: LoaderSettings, augment: AugmentSettings | None, seed: int):
        self._decoder = SampleDecoder(settings, augment, seed)
        self._image_size = settings.image_size
        self._reader = SampleReader()

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]:
        for rows in batches:
            samples = []
            for request in rows:
                wanted = self._decoder.wanted(request)
                members = self._reader.read(request.ref, wanted) if request.ref and wanted else {}
                samples.append(self._decoder.decode(request, members))
            faults = {row: sample.fault for row, sample in enumerate(samples) if sample.fault is not None}
            yield MicroBatch(rows, collate(samples, self._image_size), [sample.text for sample in samples], faults)

    def close(self) -> None:
        self._reader.close()


def open_source(
    settings: LoaderSettings, augment: AugmentSettings | None, seed: int, patience: Patience | None = None
) -> BatchSource:
    """A pool of `settings.workers` processes, or this process if that is 0."""
    if settings.workers == 0:
        return InProcess(settings, augment, seed)
    return WorkerPool(settings.workers, Setup(settings, augment, seed), patience=patience)
