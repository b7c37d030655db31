"""DeepSpeed's checkpoint of N ranks as one of M ranks: the same numbers, partitioned differently.

ZeRO 1 and 2 concatenate the parameters of a group and cut the result into one equal partition per rank; ZeRO 3
partitions every parameter separately, and each rank concatenates its partitions. Both pad with zeros at the end. So a
conversion only slices: nothing is computed, and nothing that DeepSpeed's universal checkpoint leaves out (buffers,
frozen parameters, the groups' settings, Adam's step) is lost, because everything else is copied unchanged. A conversion
to another number of ranks and back gives the same files, bit for bit.

ZeRO 0 does not partition: its files fit any number of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from dual_hpc.errors import EnvironmentFault

Read = Callable[[str], Any]  # the content of one file of the old checkpoint, by its name
_ALIGNMENT = 2  # DeepSpeed aligns partitions to 4 bytes for NCCL: two elements in half precision
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
        optimizers = [read(find_name(names, f"zero_pp_rank_{r}_", "optim_states.pt")) for r in range(old)]
        convert = _zero3_files if stage == 3 else _zero1_2_files
        return convert(read, names, optimizers, new, rank)
    except (LookupError, StopIteration, TypeError, AttributeError) as error:
        raise EnvironmentFault(
            f"the checkpoint does not have the form of DeepSpeed's ZeRO {stage}: {error!r}"
        ) from error


def slice_concatenated(pieces: Sequence[torch.Tensor], total: int, start: int, stop: int) -> torch.Tensor:
    """Elements `start` to `stop` of the concatenated pieces; elements from `total` on are padding, and become zeros.

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
        joined = torch.cat(parts)
        found[: joined.numel()] = joined
    return found


def _zero1_2_files(read: Read, names: Sequence[str], optimizers: list[Any], new: int, rank: int) -> dict[str, Any]:
    """The files of one rank under ZeRO 1 and 2.

    DeepSpeed's layout, with `groups` being the optimizer's parameter groups:

        mp_rank_00_model_states.pt                    one file, written by rank 0: all weights, buffers, and
            param_shapes                              [group] -> {parameter name: shape}, in the order of concatenation
            dp_world_size                             number of ranks
        [bf16_]zero_pp_rank_R_mp_rank_00_optim_states.pt          one file per rank R
            optimizer_state_dict
                single_partition_of_fp32_groups       [group] -> flat float32 master weights of this rank; the last
                                                      rank's are stored without the padding
                base_optimizer_state                  torch's: {"state": {group: {"step", "exp_avg", "exp_avg_sq"}},
                                                      "param_groups"}; the moments are flat partitions, with padding
                partition_count                       [group] -> number of ranks
                group_paddings                        [group] -> padding of this rank, in elements
                param_slice_mappings                  [group] -> where in the partition each parameter is

    A group's partition has ceil(elements / (2 * ranks)) * 2 elements.
    """
    model_name = find_name(names, "mp_rank_00_model_states.pt")
    model = read(model_name)
    states = [optimizer["optimizer_state_dict"] for optimizer in optimizers]
    totals = [sum(math.prod(shape) for shape in group.values()) for group in model["param_shapes"]]
    sizes = [math.ceil(total / (_ALIGNMENT * new)) * _ALIGNMENT for total in totals]

    def part(group: int, pieces: list[torch.Tensor]) -> torch.Tensor:
        return slice_concatenated(pieces, totals[group], rank * sizes[group], (rank + 1) * sizes[group])

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
    state.pop("param_slice_mappings", None)  # of the old partitions; only DeepSpeed's universal checkpoint reads it
    files = {_name_for_rank(names, rank, "optim_states.pt"): {**optimizers[0], "optimizer_state_dict": state}}
    if rank == 0:
        files[model_name] = {**model, "dp_world_size": new}
    return files


def _zero3_files(read: Read, names: Sequence[str], optimizers: list[Any], new: int, rank: int) -> dict[str, Any]:
    """The files of one rank under ZeRO 3.

    DeepSpeed's layout; every rank R writes both files:

        zero_pp_rank_R_mp_rank_00_model_states.pt
            module                          buffers; empty placeholders for the parameters
            buffer_names                    which entries of `module` are buffers
            param_shapes                    [group] -> {trainable parameter: shape}, in the order of concatenation
            frozen_param_shapes             {frozen parameter: shape}, or None
            frozen_param_fragments          {frozen parameter: this rank's partition, flat}, or None
            shared_params                   {parameter: the parameter whose memory it shares}
            dp_world_size                   number of ranks
        [bf16_]zero_pp_rank_R_mp_rank_00_optim_states.pt
            optimizer_state_dict
                fp32_flat_groups            [group] -> this rank's partitions of all parameters, concatenated; float32
                optimizer_state_dict        torch's: {"state": {group: {"step", "exp_avg", "exp_avg_sq"}},
                                            "param_groups"}; the moments are laid out like `fp32_flat_groups`
                partition_count             number of ranks

    A parameter's partition has ceil(elements / ranks) elements; the last ranks' end with padding.
    """
    old = len(optimizers)
    models = [read(find_name(names, f"zero_pp_rank_{r}_", "model_states.pt")) for r in range(old)]
    numels = [[math.prod(shape) for shape in group.values()] for group in models[0]["param_shapes"]]

    def part(group: int, pieces: list[torch.Tensor]) -> torch.Tensor:
        offset, found = 0, []
        for numel in numels[group]:
            size = math.ceil(numel / old)
            found.append(_partition_of_rank([piece[offset : offset + size] for piece in pieces], numel, new, rank))
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
        frozen = {
            name: _partition_of_rank(pieces, math.prod(shapes[name]), new, rank) for name, pieces in fragments.items()
        }
    return {
        _name_for_rank(names, rank, "optim_states.pt"): {**optimizers[0], "optimizer_state_dict": state},
        _name_for_rank(names, rank, "model_states.pt"): {
            **models[0],
            "frozen_param_fragments": frozen,
            "dp_world_size": new,
        },
    }


def _partition_of_rank(pieces: Sequence[torch.Tensor], numel: int, new: int, rank: int) -> torch.Tensor:
    """This rank's partition of one parameter, from all old partitions of it."""
    size = math.ceil(numel / new)
    return slice_concatenated(pieces, numel, rank * size, (rank + 1) * size)


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


def find_name(names: Sequence[str], *words: str) -> str:
    """The first name that contains all the words; StopIteration if none does."""
    return next(name for name in names if all(word in name for word in words))


def _name_for_rank(names: Sequence[str], rank: int, ending: str) -> str:
    return find_name(names, "zero_pp_rank_0_", ending).replace("zero_pp_rank_0_", f"zero_pp_rank_{rank}_")
