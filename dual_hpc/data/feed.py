"""From requests to batches on the device: loading, pinning and copying run ahead of the step, in a thread of their own.

The thread supervises the data workers, whoever is busy elsewhere, so they never wait for a step to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from dual_hpc.data.batch import Batch
from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.decoding.decoder import Request
from dual_hpc.data.run_ahead import RunAhead
from dual_hpc.data.to_device import ToDevice
from dual_hpc.data.workers.source import BatchSource
from dual_hpc.heartbeat import waiting_for_data

DEPTH = 2  # micro-batches that lie ready, on the device if there is one; the pool holds two more for each worker

Made = tuple[MicroBatch, Batch]


class Feed:
    """Makes batches in the order of their requests.

    Args:
        source: closed with this.
        make: a batch of host memory; called in the thread, by nobody else at the same time.
        device: where batches go; None leaves them in host memory.
    """

    def __init__(self, source: BatchSource, make: Callable[[MicroBatch], Batch], device: torch.device | None) -> None:
        self.source, self._make, self._to_device = source, make, ToDevice(device)
        self._ahead: RunAhead[Made] | None = None

    def run(self, requests: Iterator[list[Request]]) -> Iterator[Made]:
        """What the requests ask for, in order; a former run ends. Nothing runs ahead without workers.

        Raises:
            UserError, EnvironmentFault: as the source does.
        """
        self._stop()
        made = _made(self.source, requests, self._make, self._to_device)
        if self.source.workers:
            made = self._ahead = RunAhead(made, DEPTH, self.source.interrupt)
        while True:
            with waiting_for_data():
                one = next(made, None)
            if one is None:
                return
            micro_batch, batch = one
            del one
            yield micro_batch, self._to_device.hand_over(batch)

    def close(self) -> None:
        """End the thread and the source."""
        self._stop()
        self.source.close()

    def _stop(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None


def _made(
    source: BatchSource, requests: Iterator[list[Request]], make: Callable[[MicroBatch], Batch], to_device: ToDevice
) -> Iterator[Made]:
    for micro_batch in source.run(requests):
        yield micro_batch, to_device.copy(make(micro_batch))
