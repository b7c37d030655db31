"""Where micro-batches come from: this process, or a pool of workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from dual_hpc.data.collate import MicroBatch, collate, fill
from dual_hpc.data.decoding.decoder import DecodeConfig, Request, SampleDecoder
from dual_hpc.data.decoding.decoder_counts import count
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.data.workers.count import cores_of_rank, worker_count
from dual_hpc.data.workers.feature_rows import FeatureReader, NotPlain
from dual_hpc.data.workers.pool import WorkerPool
from dual_hpc.heartbeat import beat


class BatchSource(Protocol):
    """Makes micro-batches from requests, in order.

    Attributes:
        workers: processes that it works in, which a thread should keep busy.
    """

    workers: int

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]: ...

    def interrupt(self) -> None:
        """Called in another thread: the run ends soon, whatever it waits for."""

    def close(self) -> None: ...


class InProcess:
    """No workers: reads and decodes on demand. A decoder that crashes ends the process."""

    workers = 0

    def __init__(self, decode_config: DecodeConfig):
        self._config, self._decoder, self._reader = decode_config, SampleDecoder(decode_config), SampleReader()
        self._features = FeatureReader(decode_config, self._decoder, self._reader) if decode_config.features else None

    def run(self, batches: Iterator[list[Request]]) -> Iterator[MicroBatch]:
        for rows in batches:
            if (plain := self._plain(rows)) is not None:
                yield plain
                continue
            samples = []
            for request in rows:
                extensions = self._decoder.members_to_read(request)
                members = self._reader.read(request.ref, extensions) if request.ref and extensions else {}
                samples.append(self._decoder.decode(request, members))
                beat()
            failures = {row: sample.failure for row, sample in enumerate(samples) if sample.failure is not None}
            arrays = collate(samples, self._config.settings.image_size, self._config.layout)
            decoders = count(sample.video_decoder for sample in samples)
            yield MicroBatch(rows, arrays, [sample.text for sample in samples], failures, decoders)

    def _plain(self, rows: list[Request]) -> MicroBatch | None:
        """A micro-batch of features straight from the tars; None if it must be made sample by sample."""
        if self._features is None or (plan := self._features.plan(rows)) is None:
            return None
        try:
            arrays = fill(plan.layout, self._features.contents(plan, lambda _: beat()))
        except NotPlain:
            return None
        return MicroBatch(rows, arrays, plan.texts, {}, {})

    def interrupt(self) -> None:
        """Nothing runs while nobody waits for it."""

    def close(self) -> None:
        self._reader.close()


def open_source(decode_config: DecodeConfig, workers: int | Literal["auto"], read_ahead: int) -> BatchSource:
    """A pool of worker processes, or this process if `workers` is 0."""
    count = worker_count(workers, cores_of_rank(), bool(decode_config.features))
    return WorkerPool(count, decode_config, read_ahead) if count else InProcess(decode_config)
