"""`data.micro_batch: auto`: the largest micro-batch that fits into the device's memory, found by trying.

Ranks agree on the smallest of their answers. The run remembers it, by kind of device and number of ranks, in
`micro_batch.jsonl`: a job that continues on the like takes the same number, and so computes the same bits. On others it
is tried again; the samples of a step and its gradient up to rounding do not depend on it (contracts 3 and 9).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from pydantic import BaseModel, ConfigDict

from dual_hpc.config import RunConfig
from dual_hpc.config.values import AUTO_MICRO_BATCH
from dual_hpc.data.sampling.batching import divisors
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.group import Group, gather_results
from dual_hpc.heartbeat import beat
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.execution import prepare_execution
from dual_hpc.run import jsonl
from dual_hpc.training.deepspeed_config import bucket_elements, sums_in_fp32
from dual_hpc.training.longest_batch import longest_batch

_WEIGHTS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_USABLE = 0.9  # of the memory: the rest is lost between blocks of unlike sizes, and to libraries
_BATCHES_AHEAD = 3  # micro-batches that are on the device before their turn


class Found(BaseModel):
    """A line of `micro_batch.jsonl`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    device: str
    ranks: int
    micro_batch: int


class Memory(Protocol):
    """Of a device.

    Attributes:
        kind: names the kind of device and its size.
        device: where tensors go.
        budget: bytes that a training may use.
    """

    kind: str
    device: torch.device
    budget: int

    def peak(self, work: Callable[[], None]) -> int | None:
        """Bytes in use at most while `work` runs; None if they were not enough."""


class CudaMemory:
    """That of a GPU, so far as no other process has it."""

    def __init__(self, device: torch.device) -> None:
        free, total = torch.cuda.mem_get_info(device)
        self.device = device
        self.kind = f"{torch.cuda.get_device_name(device)}, {round(total / 2**30)} GB"
        self.budget = int(_USABLE * (free + torch.cuda.memory_reserved(device)))

    def peak(self, work: Callable[[], None]) -> int | None:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        try:
            with torch.cuda.device(self.device):  # threads begin with the first one
                work()
        except torch.OutOfMemoryError:
            return None
        return torch.cuda.max_memory_allocated(self.device)


def with_micro_batch(
    config: RunConfig, model: EmotionModel, file: Path, group: Group, memory: Memory | None
) -> RunConfig:
    """The configuration with a number for `data.micro_batch`. Collective.

    Args:
        model: as built, before anything wraps it; it stays as it is.
        file: the run's `micro_batch.jsonl`.
        memory: of this rank's device; None where it has none of its own.

    Raises:
        UserError: the device is a CPU, or not even one sample fits.
        EnvironmentFault: the number cannot be written down.
    """
    if config.data.micro_batch != AUTO_MICRO_BATCH:
        return config
    if memory is None:
        raise UserError(
            "data.micro_batch=auto: what fits is found by trying on a GPU, and this device is a CPU; give a number"
        )
    kinds = ", ".join(sorted(set(group.all_gather(memory.kind))))
    known = group.broadcast([one for one in jsonl.read(file, Found) if (one.device, one.ranks) == (kinds, group.size)])
    size = known[-1].micro_batch if known else _agreed(config, model, group, memory)
    if not known:
        error = group.broadcast(_remember(file, Found(device=kinds, ranks=group.size, micro_batch=size), group))
        if error:
            raise EnvironmentFault(error)
    return config.model_copy(update={"data": config.data.model_copy(update={"micro_batch": size})})


def largest_that_fits(sizes: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The largest of the ascending sizes that fits, 0 if none does; what fits, smaller ones do as well."""
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        if fits(sizes[middle]):
            low = middle + 1
        else:
            high = middle
    return sizes[low - 1] if low else 0


def training_bytes(trainable: int, ranks: int, config: RunConfig) -> int:
    """What DeepSpeed keeps on the device beside weights, plain gradients and activations.

    Args:
        trainable: number of trained parameters.
    """
    training = config.training
    kept = 8 + (4 if training.precision != "fp32" or training.zero_stage else 0)  # moments, float32 weights
    sums = 4 if sums_in_fp32(config) else 0
    partitioned = kept if training.zero_stage else 0
    partitioned += sums if training.zero_stage >= 2 else 0
    whole = kept + sums - partitioned
    return trainable * whole + -(-trainable // ranks) * partitioned + 2 * 4 * bucket_elements(trainable)


def _agreed(config: RunConfig, model: EmotionModel, group: Group, memory: Memory) -> int:
    sizes = divisors(config.data.global_batch // group.size)
    size = min(gather_results(group, lambda: _tried(config, model, group.size, memory, sizes)))
    if not size:
        raise UserError(
            "data.micro_batch=auto: not even one sample of data.max_seconds fits into the device's memory; set "
            "training.activation_checkpointing=all, lower data.max_seconds, or train fewer layers of the encoders"
        )
    return size


def _tried(config: RunConfig, model: EmotionModel, ranks: int, memory: Memory, sizes: Sequence[int]) -> int:
    weights = _WEIGHTS[config.training.precision]
    trial = copy.deepcopy(model).train()
    prepare_execution(trial, config.training.model_copy(update={"compile": "none"}), memory.device.type)
    for parameter in trial.parameters():
        parameter.data = parameter.data.to(memory.device, weights)
    trial.to(memory.device)  # buffers
    besides = training_bytes(sum(p.numel() for p in trial.parameters() if p.requires_grad), ranks, config)

    def fits(size: int) -> bool:
        beat()
        batch = longest_batch(trial, size)
        peak = memory.peak(lambda: _forward_and_backward(trial, batch, memory.device))
        trial.zero_grad(set_to_none=True)
        return peak is not None and peak + besides + _BATCHES_AHEAD * _bytes(batch) <= memory.budget

    return largest_that_fits(sizes, fits)


def _forward_and_backward(model: EmotionModel, batch: Mapping[str, torch.Tensor], device: torch.device) -> None:
    model(**{name: value.to(device) for name, value in batch.items()}).loss.backward()


def _bytes(batch: Mapping[str, torch.Tensor]) -> int:
    return sum(value.nbytes for value in batch.values())


def _remember(file: Path, found: Found, group: Group) -> str:
    """Rank 0 writes it down; why that failed, or nothing."""
    if group.rank == 0:
        try:
            jsonl.append(file, found)
        except OSError as error:
            return f"{file} cannot be written: {error.strerror}"
    return ""
