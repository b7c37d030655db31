"""Gradients of half precision, summed over micro-batches and ranks in float32, under every ZeRO stage.

A bf16 number has 8 bits: summed in bf16, the small gradient of one micro-batch is rounded away by the sum of those
before it, and the error grows with their number. DeepSpeed sums in float32 at ZeRO 2 and 3 (`grad_accum_dtype`), each
rank its partition. At ZeRO 0 it refuses, and at ZeRO 1 it takes another optimizer (`BF16_Optimizer`), which reduces
everything at the end at once and writes other checkpoints. So there the sums are switched to float32 afterwards, in the
optimizers that it takes anyway; checkpoints are the same with both kinds of sums.

They cost 4 bytes per trained parameter in place of 2; at ZeRO 2 and 3 divided by the ranks.
"""

from __future__ import annotations

from typing import Any

import torch


def sum_in_fp32(deepspeed: Any, stage: int) -> None:
    """Make a fresh DeepSpeed engine sum in float32 at ZeRO 0 and 1; at 2 and 3 its configuration says so."""
    if stage == 0:
        for parameter in _trained(deepspeed):
            parameter.grad_dtype = torch.float32  # autograd casts each gradient before it adds it
        allocate_gradients(deepspeed)
    elif stage == 1:
        optimizer = deepspeed.optimizer
        assert optimizer.use_grad_accum_attribute is False, "DeepSpeed's ZeRO 1 optimizer is not the one known here"
        # What its constructor does when the accumulation type differs from that of the weights.
        optimizer.gradient_accumulation_dtype = torch.float32
        optimizer.use_separate_grad_accum = optimizer.use_grad_accum_attribute = True


def allocate_gradients(deepspeed: Any) -> None:
    """Give parameters without a gradient one of zeros, before the first micro-batch of a step at ZeRO 0.

    DeepSpeed would give it, in bf16, to those that the loss does not depend on, and autograd refuses that type.
    """
    for parameter in _trained(deepspeed):
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter, dtype=torch.float32)


def _trained(deepspeed: Any) -> list[torch.nn.Parameter]:
    return [parameter for parameter in deepspeed.module.parameters() if parameter.requires_grad]
