"""The DeepSpeed engine of a run."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from torch import nn

from dual_hpc.checkpoint.deepspeed_io import VerifiedFiles
from dual_hpc.checkpoint.host_copy import host_copy
from dual_hpc.config.schema import OptimConfig, RunConfig
from dual_hpc.errors import UserError
from dual_hpc.model.family import FAMILIES
from dual_hpc.training.deepspeed_config import deepspeed_config, needs_manual_clipping, sums_in_fp32
from dual_hpc.training.gradient_sums import allocate_gradients, sum_in_fp32
from dual_hpc.training.loss_scale import LossScale
from dual_hpc.training.optimizer import GuardedAdamW, parameter_groups


class Engine:
    """A model under DeepSpeed with the optimizer of this project.

    Attributes:
        deepspeed: the wrapped engine; call it for a forward pass.
        family: the model's.
        accumulation: micro-batches per step.
        peak_lrs: peak learning rate of every parameter group.
        files: DeepSpeed's file layer.

    Raises:
        UserError: the device does not support the configured precision.
    """

    def __init__(self, model: nn.Module, config: RunConfig, world_size: int, accumulation: int) -> None:
        import deepspeed
        from deepspeed.accelerator import get_accelerator

        if config.training.precision == "fp16" and not get_accelerator().is_fp16_supported():
            raise UserError("training.precision: this device does not support fp16; use bf16 or fp32")
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        optim = config.optim
        self.family = FAMILIES.get(config.model.family)
        groups = parameter_groups(model.named_parameters(), optim, self.family.encoders)
        self.peak_lrs = [group["lr"] for group in groups]
        self.optimizer = _adamw(groups, optim)
        trainable = sum(parameter.numel() for group in groups for parameter in group["params"])
        device_type = get_accelerator().device_name()
        self.deepspeed, *_ = deepspeed.initialize(
            model=model,
            optimizer=self.optimizer,
            config=deepspeed_config(config, world_size, accumulation, trainable, device_type),
            dist_init_required=False,
        )
        stage = config.training.zero_stage
        if sums_in_fp32(config):
            sum_in_fp32(self.deepspeed, stage)
        self._allocates_gradients = sums_in_fp32(config) and stage == 0
        if stage == 3:
            _clear_padding(self.deepspeed.optimizer, self.deepspeed.global_rank)
        self.loss_scale = LossScale(self.deepspeed)
        self.accumulation = accumulation
        self.files = VerifiedFiles()
        self.deepspeed.checkpoint_engine = self.files
        self.deepspeed._copy_recovery_script = lambda path: None  # a checkpoint holds data, no program
        self._own_norm: float | None = None
        self._scale, self._was_smallest = 1.0, True  # of the loss, in the last step
        if needs_manual_clipping(config.training.precision, stage):
            self.optimizer.before_step = lambda: self._clip(optim.clip_norm)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of one micro-batch."""
        self.deepspeed.backward(self.loss_scale.scale(loss))

    def finish_step(self, apply: bool) -> bool:
        """Apply the accumulated gradients, or drop them; True if the weights changed."""
        self.optimizer.skip = not apply
        self.loss_scale.allow_smallest()
        self._scale, self._was_smallest = self.loss_scale.value, self.loss_scale.is_smallest
        self.deepspeed.step()
        if self._allocates_gradients:
            allocate_gradients(self.deepspeed)
        overflow = bool(getattr(self.deepspeed.optimizer, "overflow", False))
        return not (self.optimizer.skip or overflow)

    def grad_norm(self) -> float:
        """Global gradient norm of the last step, before clipping; infinite or NaN if it overflowed."""
        norm = self._own_norm if self._own_norm is not None else self.deepspeed.get_global_grad_norm()
        return float("nan") if norm is None else self.loss_scale.unscale(float(norm), self._scale)

    def gradient_is_finite(self) -> bool:
        """False if the gradient of the last step was infinite or NaN, and no smaller loss scale can change that."""
        return math.isfinite(self.grad_norm()) or not self._was_smallest

    def checkpoint_files(self, folder: str, copy: bool) -> dict[str, Any]:
        """The content of this rank's files of a checkpoint, by path relative to `folder`; collective.

        Args:
            copy: return a copy in host memory, so that the next step may start (see `host_copy` for its cost); else
                the result is the state itself, and only valid until the next step.
        """
        return self.files.capture(
            lambda root: self.deepspeed.save_checkpoint(root, tag=folder, save_latest=False),
            host_copy if copy else lambda state: state,
        )

    def _clip(self, limit: float) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        self._own_norm = float(norm)
        self.optimizer.skip = self.optimizer.skip or not bool(torch.isfinite(norm))


def _clear_padding(optimizer: Any, rank: int) -> None:
    """Zero the padding of this rank's ZeRO-3 partitions.

    DeepSpeed leaves uninitialized memory there. No weight depends on it, but it is written to every checkpoint, whose
    files would then differ between two equal trainings.
    """
    for group, flat in zip(optimizer.fp16_groups, optimizer.fp32_partitioned_groups_flat, strict=True):
        offset = 0
        for parameter in group:
            size = parameter.partition_numel()
            used = min(size, max(0, parameter.ds_numel - rank * size))
            parameter.ds_tensor.data[used:].zero_()
            flat.data[offset + used : offset + size].zero_()
            offset += size


def _adamw(groups: list[dict[str, Any]], optim: OptimConfig) -> GuardedAdamW:
    return GuardedAdamW(groups, lr=optim.lr, betas=optim.betas, eps=optim.eps)
