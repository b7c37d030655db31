"""Partitioning flat states for another number of ranks loses no element and pads with zeros only at the end."""

from __future__ import annotations

import math

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
        slice_concatenated(list(padded.split(before)), total, rank * after, (rank + 1) * after) for rank in range(new)
    ]
    assert all(part.numel() == after for part in parts)
    concatenated = torch.cat(parts)
    assert torch.equal(concatenated[:total], whole) and not concatenated[total:].any()


def test_other_files_are_refused() -> None:
    with pytest.raises(EnvironmentFault, match="ZeRO 2"):
        files_of_rank(lambda name: {}, ["deepspeed/x.pt"], 2, 2, 1, 0)
