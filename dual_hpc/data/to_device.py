"""Batches through pinned host memory to a CUDA device, on a stream of their own, while the device computes.

One thread copies, another uses: `copy` only begins the copy, `hand_over` makes the stream of whoever uses the batch
wait for it. No thread waits for the device.
"""

from __future__ import annotations

from typing import Any

import torch

from dual_hpc.data.batch import Batch
from dual_hpc.host_values import known_on_host

_COPIED = "copied"  # the key of the event in a batch on its way


class ToDevice:
    """`device`: None or a CPU leaves every batch as it is."""

    def __init__(self, device: torch.device | None) -> None:
        self._device = device if device is not None and device.type == "cuda" else None
        self._stream: Any = None

    def copy(self, batch: Batch) -> Batch:
        """Begin the copy of the tensors of a batch; the result is for `hand_over`."""
        if self._device is None:
            return batch
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        # A thread begins on device 0: pinning there would open a context on a device that is another rank's.
        with torch.cuda.stream(self._stream):
            # The allocator of pinned memory keeps the source until the copy is done.
            moved = {name: self._moved(name, value) for name, value in batch.items()}
            copied = torch.cuda.Event()
            copied.record(self._stream)
        return {**moved, _COPIED: copied}

    def hand_over(self, batch: Batch) -> Batch:
        """The batch of `copy`, for the current stream of the calling thread."""
        copied = batch.pop(_COPIED, None)
        if copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(copied)
            for value in batch.values():
                if isinstance(value, torch.Tensor):
                    value.record_stream(stream)  # its memory is given to no later copy while this stream uses it
        return batch

    def _moved(self, name: str, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        moved = value.pin_memory().to(self._device, non_blocking=True)
        small = value.dim() == 1 or name == "attention_mask"  # lengths, durations
        return known_on_host(moved, value.tolist()) if small else moved
