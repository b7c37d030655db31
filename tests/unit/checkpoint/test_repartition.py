"""Partitioning flat states for another number of ranks loses no element and pads with zeros only at the end."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.checkpoint.repartition import files_of_rank, slice_concatenated
from dual_hpc.errors import EnvironmentFault


@given(total=st.integers(1, 60), old=st.integers(1, 7), new=st.integers(1, 7), alignment=st.integers(1, 4))
def test_every_element_is_in_exactly_one_part(total: int, old: int, new: int, alignment: int) -> None:
    whole = torch.arange(1.0, total + 1)
    before, after = (math.ceil(total / (alignment * ranks)) * alignment for ranks in (old, new))
    padded = torch.full((before * old,), float("nan"))  # padding may hold anything
    padded[:total] = whole
    parts = [
        slice_concatenated(padded.split(before).__getitem__, before, total, rank * after, (rank + 1) * after)
        for rank in range(new)
    ]
    assert all(part.numel() == after for part in parts)
    concatenated = torch.cat(parts)
    assert torch.equal(concatenated[:total], whole) and not concatenated[total:].any()


def test_other_files_are_refused() -> None:
    with pytest.raises(EnvironmentFault, match="ZeRO 2"):
        files_of_rank(lambda name: {}, ["deepspeed/x.pt"], 2, 2, 1, 0)


def checkpoint(ranks: int, stage: int, numel: int) -> dict[str, Any]:
    """The files of `ranks` ranks in DeepSpeed's form: one group with one parameter, whose elements count from 1."""
    shapes = [{"weight": torch.Size([numel])}]
    size = math.ceil(numel / ranks) if stage == 3 else math.ceil(numel / (2 * ranks)) * 2
    flat = torch.zeros(size * ranks)
    flat[:numel] = torch.arange(1.0, numel + 1)
    files: dict[str, Any] = {}
    for rank, part in enumerate(flat.split(size)):
        adam = {"state": {0: {"step": 3, "exp_avg": part * 2, "exp_avg_sq": part * 3}}, "param_groups": [{"lr": 1.0}]}
        head = f"deepspeed/zero_pp_rank_{rank}_mp_rank_00"
        if stage == 3:
            state = {"optimizer_state_dict": adam, "fp32_flat_groups": [part], "partition_count": ranks}
            files[f"{head}_model_states.pt"] = {
                "param_shapes": shapes,
                "frozen_param_shapes": {"still": torch.Size([numel])},
                "frozen_param_fragments": {"still": part * 4},
                "dp_world_size": ranks,
            }
        else:
            padding = size * ranks - numel if rank == ranks - 1 else 0
            stored = part[: max(0, size - padding)]
            state = {
                "base_optimizer_state": adam,
                "single_partition_of_fp32_groups": [stored.clone()],
                "partition_count": [ranks],
                "group_paddings": [padding],
            }
        files[f"{head}_optim_states.pt"] = {"optimizer_state_dict": state}
    if stage != 3:
        files["deepspeed/mp_rank_00_model_states.pt"] = {"param_shapes": shapes, "dp_world_size": ranks}
    return files


@given(stage=st.sampled_from([1, 2, 3]), old=st.integers(1, 9), new=st.integers(1, 9), numel=st.integers(1, 80))
def test_a_conversion_gives_what_the_other_number_of_ranks_would_have_written(
    stage: int, old: int, new: int, numel: int
) -> None:
    before, expected = checkpoint(old, stage, numel), checkpoint(new, stage, numel)
    found: dict[str, Any] = {}
    for rank in range(new):
        found |= files_of_rank(before.__getitem__, sorted(before), stage, old, new, rank)
    assert _plain(found) == _plain(expected)


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("new", [32, 63, 64, 128])
def test_a_rank_opens_the_files_of_the_ranks_whose_parts_it_takes_over_and_of_rank_0(stage: int, new: int) -> None:
    old, opened = 64, set()
    before = checkpoint(old, stage, numel=64 * 64)

    def read(name: str) -> Any:
        opened.add(name)
        return before[name]

    for rank in (0, new // 2, new - 1):
        opened.clear()
        files_of_rank(read, sorted(before), stage, old, new, rank)
        ranks = math.ceil(old / new) + 2
        assert len(opened) <= (2 * ranks if stage == 3 else ranks + 1), sorted(opened)


def test_partitions_of_another_size_than_deepspeeds_are_refused() -> None:
    before = checkpoint(4, 1, numel=64)
    state = before["deepspeed/zero_pp_rank_1_mp_rank_00_optim_states.pt"]["optimizer_state_dict"]
    state["single_partition_of_fp32_groups"] = [torch.zeros(10)]
    with pytest.raises(EnvironmentFault, match="partition 1 has 10 elements instead of 16"):
        files_of_rank(before.__getitem__, sorted(before), 1, 4, 2, 0)


def _plain(value: Any) -> Any:
    """Tensors as lists, so that two checkpoints can be compared."""
    if isinstance(value, torch.Tensor) and not isinstance(value, torch.Size):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
