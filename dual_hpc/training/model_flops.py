"""MFU: which part of the card's peak the model's own floating point operations come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dual_hpc.config.schema import TrainingConfig
from dual_hpc.training.peak_flops import peak_flops


class ModelFlops:
    """FLOPs of a sample, forward and backward, counted once: in the first micro-batch of a job, as it is computed.

    Counted are matrix products, convolutions and attention, those that activation checkpointing repeats as well; of
    this project's Triton kernels none. Where the peak is not known nothing is counted. The results are the same.

    Attributes:
        per_sample: None until it is counted.
    """

    def __init__(self, peak: float | None) -> None:
        """
        Args:
            peak: FLOP/s of one rank's card.
        """
        self._peak = peak
        self.per_sample: float | None = None

    @classmethod
    def of(cls, training: TrainingConfig, device: torch.device, rank: int) -> ModelFlops:
        """On rank 0, which reports; not of compiled encoders, whose operations nobody sees."""
        if rank != 0 or device.type != "cuda" or training.compile != "none":
            return cls(None)
        return cls(peak_flops(torch.cuda.get_device_name(device), training.precision, training.tf32))

    @contextmanager
    def counted(self, samples: int) -> Iterator[None]:
        """Count what the block computes for so many samples, if it has not been done."""
        if self._peak is None or self.per_sample is not None:
            yield
            return
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            yield
        self.per_sample = counter.get_total_flops() / samples

    def mfu(self, samples_per_second: float, ranks: int) -> dict[str, float]:
        """`mfu`, 0..1, at this speed of all ranks together; nothing where it is not known."""
        if self._peak is None or not self.per_sample:
            return {}
        return {"mfu": self.per_sample * samples_per_second / (self._peak * ranks)}
