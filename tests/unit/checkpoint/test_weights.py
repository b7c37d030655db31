"""The weights from every stage's files equal the model's, whatever number of ranks wrote them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.checkpoint.weights import full_weights
from dual_hpc.errors import EnvironmentFault

shapes = st.dictionaries(
    st.text("abc.", min_size=1, max_size=4), st.lists(st.integers(1, 4), max_size=3).map(tuple), max_size=4
)


def partitions(value: torch.Tensor, ranks: int) -> list[torch.Tensor]:
    """What each rank holds of a parameter under ZeRO 3; the padding may hold anything."""
    size = math.ceil(value.numel() / ranks)
    padded = torch.full((size * ranks,), float("nan"), dtype=value.dtype)
    padded[: value.numel()] = value.flatten()
    return list(padded.split(size))


def zero3(groups: list[dict[str, torch.Tensor]], frozen: dict[str, torch.Tensor], ranks: int) -> dict[str, Any]:
    """Files of the form that DeepSpeed writes."""
    files: dict[str, Any] = {}
    for rank in range(ranks):
        files[f"deepspeed/zero_pp_rank_{rank}_mp_rank_00_model_states.pt"] = {
            "module": {"count": torch.tensor(7), "placeholder": torch.zeros(0)},
            "buffer_names": ["count"],
            "param_shapes": [{name: value.shape for name, value in group.items()} for group in groups],
            "frozen_param_shapes": {name: value.shape for name, value in frozen.items()} or None,
            "frozen_param_fragments": {name: partitions(value, ranks)[rank] for name, value in frozen.items()} or None,
            "shared_params": {},
        }
        flat = [
            torch.cat([partitions(value, ranks)[rank] for value in group.values()] or [torch.zeros(0)])
            for group in groups
        ]
        files[f"deepspeed/bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"] = {
            "optimizer_state_dict": {"fp32_flat_groups": flat}
        }
    return files


@given(first=shapes, second=shapes, frozen=shapes, ranks=st.integers(1, 5))
def test_weights_that_zero_3_has_partitioned_are_complete_again(
    first: dict[str, Any], second: dict[str, Any], frozen: dict[str, Any], ranks: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    groups = [
        {f"{number}{name}": torch.randn(shape, generator=generator) for name, shape in group.items()}
        for number, group in enumerate((first, second))
    ]
    still = {f"f{name}": torch.randn(shape, generator=generator) for name, shape in frozen.items()}
    files = zero3(groups, still, ranks)
    expected = groups[0] | groups[1] | still | {"count": torch.tensor(7)}
    found = full_weights(files.__getitem__, list(files), 3, ranks, "fp32")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_masters_are_rounded_as_the_training_rounds_them_and_come_out_in_float32() -> None:
    value = torch.tensor([1.0, 1.001, 3.14159])
    files = zero3([{"w": value}], {}, 2)
    found = full_weights(files.__getitem__, list(files), 3, 2, "bf16")["w"]
    assert found.dtype == torch.float32 and torch.equal(found, value.bfloat16().float())


@pytest.mark.parametrize("stage", [0, 3])
def test_other_files_are_refused(stage: int) -> None:
    with pytest.raises(EnvironmentFault, match=f"ZeRO {stage}"):
        full_weights(lambda name: {}, ["deepspeed/x.pt"], stage, 1, "fp32")
