"""The DeepSpeed engine of a run."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from dual_hpc.checkpoint.deepspeed_io import ProvenFiles
from dual_hpc.checkpoint.host_copy import host_copy
from dual_hpc.config.schema import OptimConfig, Precision, RunConfig
from dual_hpc.errors import UserError
from dual_hpc.training.optimizer import GuardedAdamW, parameter_groups


def deepspeed_config(config: RunConfig, world_size: int, accumulation: int) -> dict[str, Any]:
    """DeepSpeed's own configuration; every value is derived from ours, so there is nothing else to set.

    Args:
        accumulation: micro-batches per optimiser step and rank.
    """
    precision, stage = config.training.precision, config.training.zero_stage
    return {
        "train_batch_size": config.data.global_batch,
        "train_micro_batch_size_per_gpu": config.data.global_batch // (world_size * accumulation),
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": 0.0 if clips_itself(precision, stage) else config.optim.clip_norm,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {"stage": stage},
        "bf16": {"enabled": precision == "bf16"},
        "fp16": {"enabled": precision == "fp16"},
        "data_types": {"buffer_dtype": "fp32"},
        "steps_per_print": None,
    }


def clips_itself(precision: Precision, stage: int) -> bool:
    """True where DeepSpeed uses our optimizer bare, clips without telling the norm and checks nothing."""
    return precision == "fp32" and stage == 0


class Engine:
    """A model under DeepSpeed with the optimizer of this project.

    Attributes:
        deepspeed: the wrapped engine; call it for a forward pass.
        accumulation: micro-batches per step.
        peaks: peak learning rate of every parameter group.
        files: DeepSpeed's file layer.

    Raises:
        UserError: the device does not compute in the configured precision.
    """

    def __init__(self, model: nn.Module, config: RunConfig, world_size: int, accumulation: int) -> None:
        import deepspeed
        from deepspeed.accelerator import get_accelerator

        if config.training.precision == "fp16" and not get_accelerator().is_fp16_supported():
            raise UserError("training.precision: this device does not compute in fp16; use bf16 or fp32")
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        optim = config.optim
        groups = parameter_groups(model.named_parameters(), optim)
        self.peaks = [group["lr"] for group in groups]
        self.optimizer = _adamw(groups, optim)
        self.deepspeed, *_ = deepspeed.initialize(
            model=model,
            optimizer=self.optimizer,
            config=deepspeed_config(config, world_size, accumulation),
            dist_init_required=False,
        )
        if config.training.zero_stage == 3:
            _clear_padding(self.deepspeed.optimizer, self.deepspeed.global_rank)
        self.accumulation = accumulation
        self.files = ProvenFiles()
        self.deepspeed.checkpoint_engine = self.files
        self.deepspeed._copy_recovery_script = lambda path: None  # programs don't belong to the data
        self._own_norm: float | None = None
        if clips_itself(config.training.precision, config.training.zero_stage):
            self.optimizer.before_step = lambda: self._clip(optim.clip_norm)

    def finish_step(self, healthy: bool) -> bool:
        """Apply the accumulated gradients unless the ranks found the loss unhealthy; True if the weights moved."""
        self.optimizer.hold = not healthy
        self.deepspeed.step()
        overflow = bool(getattr(self.deepspeed.optimizer, "overflow", False))
        return not (self.optimizer.hold or overflow)

    def grad_norm(self) -> float:
        """Global norm of the gradient of the last step, before clipping; infinite or NaN if it overflowed."""
        norm = self._own_norm if self._own_norm is not None else self.deepspeed.get_global_grad_norm()
        return float("nan") if norm is None else float(norm)

    def content(self, folder: str, copy: bool) -> dict[str, Any]:
        """What a checkpoint of this rank's state consists of, by relative path below `folder`; collective.

        Args:
            copy: in host memory, so that the next step may go on; else it is the state itself, and only good until
                then. See `host_copy` for what that costs.
        """
        return self.files.take(
            lambda place: self.deepspeed.save_checkpoint(place, tag=folder, save_latest=False),
            host_copy if copy else lambda state: state,
        )

    def _clip(self, limit: float) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        self._own_norm = float(norm)
        self.optimizer.hold = self.optimizer.hold or not bool(torch.isfinite(norm))


def _clear_padding(optimizer: Any, rank: int) -> None:
    """Zero the padding of this rank's ZeRO-3 partitions.

    DeepSpeed leaves uninitialised memory there. No weight ever depends on it, but it goes into every checkpoint, whose
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
