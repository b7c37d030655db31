"""A model's weights from DeepSpeed's files, without a process group, DeepSpeed's engine or a GPU.

ZeRO 0 to 2 keep the whole module in one file. ZeRO 3 stores placeholders there; its weights are the float32 master
weights in the ranks' optimizer files (layout: `repartition._zero3_files`), rounded as the training itself rounds them:
the result equals an export by the running training, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from dual_hpc.checkpoint.repartition import Read, find_name
from dual_hpc.errors import EnvironmentFault

_TRAINED_IN = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def full_weights(read: Read, names: Sequence[str], stage: int, ranks: int, precision: str) -> dict[str, torch.Tensor]:
    """All parameters and persistent buffers by name; floating point ones in float32.

    Args:
        read: reads one of `names`, the files of the checkpoint that `ranks` ranks wrote.
        precision: fp32, bf16 or fp16, as trained.

    Raises:
        EnvironmentFault: the files are not those of such a checkpoint.
    """
    try:
        if stage < 3:
            found = dict(read(find_name(names, "mp_rank_00_model_states.pt"))["module"])
        else:
            found = _gather_zero3(read, names, ranks, _TRAINED_IN[precision])
    except (LookupError, StopIteration, TypeError, AttributeError) as error:
        raise EnvironmentFault(
            f"the checkpoint does not have the form of DeepSpeed's ZeRO {stage}: {error!r}"
        ) from error
    return {name: value.float() if value.is_floating_point() else value for name, value in found.items()}


def _gather_zero3(read: Read, names: Sequence[str], ranks: int, trained_in: torch.dtype) -> dict[str, torch.Tensor]:
    models = [read(find_name(names, f"zero_pp_rank_{rank}_", "model_states.pt")) for rank in range(ranks)]
    optimizers = [read(find_name(names, f"zero_pp_rank_{rank}_", "optim_states.pt")) for rank in range(ranks)]
    masters = [optimizer["optimizer_state_dict"]["fp32_flat_groups"] for optimizer in optimizers]
    first = models[0]
    found = {name: first["module"][name] for name in first["buffer_names"]}
    for group, shapes in enumerate(first["param_shapes"]):
        offset = 0
        for name, shape in shapes.items():
            size = math.ceil(math.prod(shape) / ranks)
            found[name] = _full([flat[group][offset : offset + size] for flat in masters], shape).to(trained_in)
            offset += size
    for name, shape in (first["frozen_param_shapes"] or {}).items():
        found[name] = _full([model["frozen_param_fragments"][name] for model in models], shape)
    for name, other in (first["shared_params"] or {}).items():
        found[name] = found[other]
    return found


def _full(pieces: Sequence[torch.Tensor], shape: Any) -> torch.Tensor:
    """A parameter from all its partitions, of equal size, the last of which end with padding."""
    return torch.cat([piece.flatten() for piece in pieces])[: math.prod(shape)].reshape(tuple(shape))
