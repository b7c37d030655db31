"""What DeepSpeed is told: types of the gradients' sums, and buckets that fit the model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config import validate
from dual_hpc.training.deepspeed_config import bucket_elements, deepspeed_config


def made(trainable: int = 40_000_000, ranks: int = 2, device: str = "cpu", **training: object) -> dict[str, Any]:
    return deepspeed_config(validate({"training": training}), ranks, 2, trainable, device)


@given(trainable=st.integers(0, 10**10))
def test_a_bucket_is_at_most_200_mb_and_an_eighth_of_a_model_that_is_not_small(trainable: int) -> None:
    elements = bucket_elements(trainable)
    assert 1 <= elements <= 50_000_000
    assert elements <= max(1, trainable)
    if trainable >= 2**23:
        assert elements * 8 <= trainable
    elif trainable >= 2**20:
        assert elements >= 2**20  # no messages that cost more time than their bytes do


def test_a_model_of_40_million_parameters_has_buckets_of_20_mb() -> None:
    assert made()["zero_optimization"]["reduce_bucket_size"] * 4 == 20_000_000


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_gradients_of_half_precision_are_summed_in_fp32(stage: int, precision: str) -> None:
    found = made(zero_stage=stage, precision=precision)
    assert found["communication_data_type"] == "fp32"
    assert found["data_types"].get("grad_accum_dtype") == ("fp32" if stage >= 2 else None)


@pytest.mark.parametrize("training", [{"gradient_dtype": "same"}, {"precision": "fp32"}])
def test_else_they_have_the_type_of_the_weights(training: dict[str, Any]) -> None:
    found = made(zero_stage=2, **training)
    assert "communication_data_type" not in found and "grad_accum_dtype" not in found["data_types"]


@pytest.mark.parametrize(("ranks", "device", "overlaps"), [(2, "cuda", True), (1, "cuda", False), (2, "cpu", False)])
def test_communication_overlaps_the_backward_pass_where_there_are_streams_and_ranks(
    ranks: int, device: str, overlaps: bool
) -> None:
    assert made(ranks=ranks, device=device)["zero_optimization"]["overlap_comm"] is overlaps
