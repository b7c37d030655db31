"""DeepSpeed's checkpoint of N ranks as one of M ranks: the same numbers, cut at other places.

ZeRO 1 and 2 lay the parameters of a group end to end and cut the whole into equal parts; ZeRO 3 cuts every parameter
by itself and each rank lays its parts end to end. Both pad at the end with zeros. So another number of ranks is
slicing alone: nothing is computed, and nothing that DeepSpeed's universal checkpoint leaves out (buffers, frozen
parameters, the groups' settings, Adam's step) is lost, because everything else is copied as it stands. A conversion
and its way back give the same files bit for bit.

ZeRO 0 keeps everything whole: its files fit any number of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from dual_hpc.errors import EnvironmentFault

Read = Callable[[str], Any]  # the content of one file of the old checkpoint, by its name
_ALIGNMENT = 2  # of DeepSpeed: NCCL wants 4 bytes, counted in elements of half precision
_MOMENTS = ("exp_avg", "exp_avg_sq")


def files_of_rank(read: Read, names: Sequence[str], stage: int, old: int, new: int, rank: int) -> dict[str, Any]:
    """What rank `rank` of `new` ranks writes, by file name.

    Args:
        read: reads one of `names`, the files of the checkpoint that `old` ranks wrote.
        stage: 1, 2 or 3.

    Raises:
        EnvironmentFault: the files are not those of such a checkpoint.
    """
    try:
        optimizers = [read(only(names, f"zero_pp_rank_{r}_", "optim_states.pt")) for r in range(old)]
        convert = _whole_parameters if stage == 3 else _flat_groups
        return convert(read, names, optimizers, new, rank)
    except (LookupError, StopIteration, TypeError, AttributeError) as error:
        raise EnvironmentFault(
            f"the checkpoint does not have the form of DeepSpeed's ZeRO {stage}: {error!r}"
        ) from error


def cut(pieces: Sequence[torch.Tensor], total: int, start: int, stop: int) -> torch.Tensor:
    """Elements `start` to `stop` of the concatenated pieces, of which `total` count; zeros stand for what lies behind.

    Args:
        pieces: flat tensors of one type.
    """
    parts, offset = [], 0
    for piece in pieces:
        first, last = max(start, offset), min(stop, offset + piece.numel(), total)
        if first < last:
            parts.append(piece[first - offset : last - offset])
        offset += piece.numel()
    found = pieces[0].new_zeros(stop - start)
    if parts:
        whole = torch.cat(parts)
        found[: whole.numel()] = whole
    return found


def _flat_groups(read: Read, names: Sequence[str], optimizers: list[Any], new: int, rank: int) -> dict[str, Any]:
    model_name = only(names, "mp_rank_00_model_states.pt")
    model = read(model_name)
    states = [optimizer["optimizer_state_dict"] for optimizer in optimizers]
    totals = [sum(math.prod(shape) for shape in group.values()) for group in model["param_shapes"]]
    sizes = [math.ceil(total / (_ALIGNMENT * new)) * _ALIGNMENT for total in totals]

    def part(group: int, pieces: list[torch.Tensor]) -> torch.Tensor:
        return cut(pieces, totals[group], rank * sizes[group], (rank + 1) * sizes[group])

    # DeepSpeed counts all padding to the last rank, and saves that rank's weights (not its moments) without it.
    paddings = [size * new - total if rank == new - 1 else 0 for size, total in zip(sizes, totals, strict=True)]
    masters = _each_group([s["single_partition_of_fp32_groups"] for s in states], part)
    state = {
        **states[0],
        "base_optimizer_state": _moments([s["base_optimizer_state"] for s in states], part),
        "single_partition_of_fp32_groups": [
            m[: max(0, m.numel() - padding)].clone() for m, padding in zip(masters, paddings, strict=True)
        ],
        "partition_count": [new] * len(totals),
        "group_paddings": paddings,
    }
    state.pop("param_slice_mappings", None)  # where parameters lie in the old cut; only the universal checkpoint asks
    files = {_renamed(names, rank, "optim_states.pt"): {**optimizers[0], "optimizer_state_dict": state}}
    if rank == 0:
        files[model_name] = {**model, "dp_world_size": new}
    return files


def _whole_parameters(read: Read, names: Sequence[str], optimizers: list[Any], new: int, rank: int) -> dict[str, Any]:
    old = len(optimizers)
    models = [read(only(names, f"zero_pp_rank_{r}_", "model_states.pt")) for r in range(old)]
    numels = [[math.prod(shape) for shape in group.values()] for group in models[0]["param_shapes"]]

    def part(group: int, pieces: list[torch.Tensor]) -> torch.Tensor:
        offset, found = 0, []
        for numel in numels[group]:
            size = math.ceil(numel / old)
            found.append(_share([piece[offset : offset + size] for piece in pieces], numel, new, rank))
            offset += size
        return torch.cat(found)

    states = [optimizer["optimizer_state_dict"] for optimizer in optimizers]
    state = {
        **states[0],
        "optimizer_state_dict": _moments([s["optimizer_state_dict"] for s in states], part),
        "fp32_flat_groups": _each_group([s["fp32_flat_groups"] for s in states], part),
        "partition_count": new,
    }
    frozen = models[0]["frozen_param_fragments"]
    if frozen is not None:
        shapes = models[0]["frozen_param_shapes"]
        fragments = {name: [model["frozen_param_fragments"][name] for model in models] for name in frozen}
        frozen = {name: _share(pieces, math.prod(shapes[name]), new, rank) for name, pieces in fragments.items()}
    return {
        _renamed(names, rank, "optim_states.pt"): {**optimizers[0], "optimizer_state_dict": state},
        _renamed(names, rank, "model_states.pt"): {
            **models[0],
            "frozen_param_fragments": frozen,
            "dp_world_size": new,
        },
    }


def _share(pieces: Sequence[torch.Tensor], numel: int, new: int, rank: int) -> torch.Tensor:
    size = math.ceil(numel / new)
    return cut(pieces, numel, rank * size, (rank + 1) * size)


def _each_group(
    partitions: Sequence[Sequence[torch.Tensor]], part: Callable[[int, list[torch.Tensor]], torch.Tensor]
) -> list[torch.Tensor]:
    return [part(group, [p[group] for p in partitions]) for group in range(len(partitions[0]))]


def _moments(
    optimizers: Sequence[Mapping[str, Any]], part: Callable[[int, list[torch.Tensor]], torch.Tensor]
) -> dict[str, Any]:
    """Adam's state: one flat parameter per group."""
    state = {}
    for group, values in optimizers[0]["state"].items():
        moments = {name: part(group, [o["state"][group][name] for o in optimizers]) for name in _MOMENTS}
        state[group] = {**values, **moments}
    return {**optimizers[0], "state": state}


def only(names: Sequence[str], *words: str) -> str:
    """The first name that holds all the words; StopIteration if none does."""
    return next(name for name in names if all(word in name for word in words))


def _renamed(names: Sequence[str], rank: int, ending: str) -> str:
    return only(names, "zero_pp_rank_0_", ending).replace("zero_pp_rank_0_", f"zero_pp_rank_{rank}_")
