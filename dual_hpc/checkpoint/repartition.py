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
from functools import lru_cache, reduce
from operator import getitem
from typing import Any

import torch

from dual_hpc.errors import EnvironmentFault

Read = Callable[[str], Any]  # the content of one file of the old checkpoint, by its name
Piece = Callable[[int], torch.Tensor]  # what an old rank has of a tensor that is partitioned, flat, by its number
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
        convert = _zero3_files if stage == 3 else _zero1_2_files
        return convert(_Files(read, names, old), new, rank)
    except (LookupError, StopIteration, TypeError, AttributeError) as error:
        raise EnvironmentFault(
            f"the checkpoint does not have the form of DeepSpeed's ZeRO {stage}: {error!r}"
        ) from error


def slice_concatenated(piece: Piece, size: int, total: int, start: int, stop: int) -> torch.Tensor:
    """Elements `start` to `stop` of the concatenated pieces; elements from `total` on are padding, and become zeros.

    Args:
        piece: the flat tensor with a number. Only those that are needed are asked for, and number 0 for its type.
        size: elements of each piece; those that only hold padding may be missing at the end of the last one.

    Raises:
        IndexError: a piece has another size.
    """
    end = min(stop, total)
    parts = []
    for number in range(start // size, -(-end // size) if start < end else 0):
        whole, first, last = piece(number), max(0, start - number * size), min(size, end - number * size)
        if not last <= whole.numel() <= size:
            raise IndexError(f"partition {number} has {whole.numel()} elements instead of {size}")
        parts.append(whole[first:last])
    found = (parts[0] if parts else piece(0)).new_zeros(stop - start)
    if parts:
        joined = torch.cat(parts)
        found[: joined.numel()] = joined
    return found


class _Files:
    """The files of the old checkpoint, each read when something in it is needed, and once.

    A rank of the new job needs the files of the old ranks whose parts overlap its own, and those of rank 0. If each of
    512 ranks opened every file, the file system would be asked for 262,144 of them at once.
    """

    def __init__(self, read: Read, names: Sequence[str], ranks: int) -> None:
        self.names, self.ranks = names, ranks
        self.read = lru_cache(maxsize=None)(read)

    def optimizer(self, rank: int) -> Any:
        """All that an old rank's file of the optimizer holds."""
        return self.read(find_name(self.names, f"zero_pp_rank_{rank}_", "optim_states.pt"))

    def state(self, rank: int) -> Any:
        """The optimizer's state in it."""
        return self.optimizer(rank)["optimizer_state_dict"]

    def pieces(self, *path: str | int) -> Piece:
        """What stands at this place in the optimizer's state of an old rank, by rank."""
        return lambda rank: reduce(getitem, path, self.state(rank))

    def model(self, rank: int) -> Any:
        """An old rank's file of the model; ZeRO 3 alone has one per rank."""
        return self.read(find_name(self.names, f"zero_pp_rank_{rank}_", "model_states.pt"))

    def frozen(self, name: str) -> Piece:
        """An old rank's partition of a frozen parameter, by rank; under ZeRO 3."""
        return lambda rank: self.model(rank)["frozen_param_fragments"][name]


def _zero1_2_files(files: _Files, new: int, rank: int) -> dict[str, Any]:
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
    model_name = find_name(files.names, "mp_rank_00_model_states.pt")
    model, first = files.read(model_name), files.state(0)
    totals = [sum(math.prod(shape) for shape in group.values()) for group in model["param_shapes"]]
    old_sizes, sizes = ([_partition_size(total, ranks) for total in totals] for ranks in (files.ranks, new))

    def part(group: int, *path: str | int) -> torch.Tensor:
        start = rank * sizes[group]
        return slice_concatenated(files.pieces(*path), old_sizes[group], totals[group], start, start + sizes[group])

    paddings = [size * new - total if rank == new - 1 else 0 for size, total in zip(sizes, totals, strict=True)]
    masters = [part(group, "single_partition_of_fp32_groups", group) for group in range(len(totals))]
    state = {
        **first,
        "base_optimizer_state": _moments(first, "base_optimizer_state", part),
        "single_partition_of_fp32_groups": [
            m[: max(0, m.numel() - padding)].clone() for m, padding in zip(masters, paddings, strict=True)
        ],
        "partition_count": [new] * len(totals),
        "group_paddings": paddings,
    }
    state.pop("param_slice_mappings", None)  # of the old partitions; only DeepSpeed's universal checkpoint reads it
    name = _name_for_rank(files.names, rank, "optim_states.pt")
    made = {name: {**files.optimizer(0), "optimizer_state_dict": state}}
    if rank == 0:
        made[model_name] = {**model, "dp_world_size": new}
    return made


def _partition_size(total: int, ranks: int) -> int:
    """Elements of each rank's partition of a group under ZeRO 1 and 2."""
    return math.ceil(total / (_ALIGNMENT * ranks)) * _ALIGNMENT


def _zero3_files(files: _Files, new: int, rank: int) -> dict[str, Any]:
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
    old, model, first = files.ranks, files.model(0), files.state(0)
    numels = [[math.prod(shape) for shape in group.values()] for group in model["param_shapes"]]

    def part(group: int, *path: str | int) -> torch.Tensor:
        pieces, offset, found = files.pieces(*path), 0, []
        for numel in numels[group]:
            size = math.ceil(numel / old)
            found.append(_partition_of_rank(_within(pieces, slice(offset, offset + size)), old, numel, new, rank))
            offset += size
        return torch.cat(found)

    state = {
        **first,
        "optimizer_state_dict": _moments(first, "optimizer_state_dict", part),
        "fp32_flat_groups": [part(group, "fp32_flat_groups", group) for group in range(len(numels))],
        "partition_count": new,
    }
    frozen = model["frozen_param_fragments"]
    if frozen is not None:
        numel_of = {name: math.prod(model["frozen_param_shapes"][name]) for name in frozen}
        frozen = {
            name: _partition_of_rank(files.frozen(name), old, numel, new, rank) for name, numel in numel_of.items()
        }
    return {
        _name_for_rank(files.names, rank, "optim_states.pt"): {**files.optimizer(0), "optimizer_state_dict": state},
        _name_for_rank(files.names, rank, "model_states.pt"): {
            **model,
            "frozen_param_fragments": frozen,
            "dp_world_size": new,
        },
    }


def _within(piece: Piece, where: slice) -> Piece:
    return lambda rank: piece(rank)[where]


def _partition_of_rank(piece: Piece, old: int, numel: int, new: int, rank: int) -> torch.Tensor:
    """This rank's partition of one parameter, from the old partitions of it."""
    size = math.ceil(numel / new)
    return slice_concatenated(piece, math.ceil(numel / old), numel, rank * size, (rank + 1) * size)


def _moments(state: Mapping[str, Any], key: str, part: Callable[..., torch.Tensor]) -> dict[str, Any]:
    """Adam's state, which stands under `key`: one flat parameter per group."""
    groups = {
        group: {**values, **{name: part(group, key, "state", group, name) for name in _MOMENTS}}
        for group, values in state[key]["state"].items()
    }
    return {**state[key], "state": groups}


def find_name(names: Sequence[str], *words: str) -> str:
    """The first name that contains all the words; StopIteration if none does."""
    return next(name for name in names if all(word in name for word in words))


def _name_for_rank(names: Sequence[str], rank: int, ending: str) -> str:
    return find_name(names, "zero_pp_rank_0_", ending).replace("zero_pp_rank_0_", f"zero_pp_rank_{rank}_")
