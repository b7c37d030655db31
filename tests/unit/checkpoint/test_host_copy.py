"""A later change of the state does not change the copy, whose file equals that of the state."""

from __future__ import annotations

import io
from collections import OrderedDict
from enum import IntEnum
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dual_hpc.checkpoint.host_copy import host_copy


class Stage(IntEnum):
    TWO = 2


class Scaler:
    """Like DeepSpeed's: an object that changes at every step."""

    def __init__(self) -> None:
        self.scale = 2.0


def state() -> dict[str, Any]:
    flat = torch.arange(12.0)
    module: Any = OrderedDict(a=flat[:4].view(2, 2), b=flat[4:7], c=torch.tensor([1, 2]).bfloat16())
    module._metadata = {"version": 1}
    again = {"same": module["a"]}
    marked = torch.ones(2)
    marked.ds_id = "4_7"  # type: ignore[attr-defined]
    return {
        "module": module,
        "transposed": flat.view(3, 4).t(),
        "parameter": nn.Parameter(torch.ones(2)),
        "master": torch.ones(3, requires_grad=True),
        "state": {0: {"step": torch.tensor(3.0), "empty": torch.zeros(0)}},
        "placeholders": [torch.zeros(0), torch.zeros(0), torch.zeros(0, dtype=torch.int64)],
        "marked": marked,
        "shapes": [OrderedDict(a=torch.Size([2, 2]))],
        "betas": (0.9, 0.98),
        "stage": Stage.TWO,
        "shared": [again, again],
        "none": None,
    }


def written(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def test_a_file_of_the_copy_is_byte_for_byte_a_file_of_the_state() -> None:
    assert written(host_copy(state())) == written(state())


def test_nothing_that_happens_to_the_state_reaches_the_copy() -> None:
    original: Any = {**state(), "scaler": Scaler()}
    before = written({key: value for key, value in original.items() if key != "scaler"})
    copied = host_copy(original)
    with torch.no_grad():
        for tensor in (
            original["module"]["a"],
            original["parameter"],
            original["master"],
            original["state"][0]["step"],
        ):
            tensor.add_(1)
    original["shapes"].clear()
    original["scaler"].scale = 1.0
    assert copied.pop("scaler").scale == 2.0
    assert written(copied) == before


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10)), min_size=1, max_size=6))
def test_the_copy_is_as_large_as_the_storages_however_many_views_there_are(views: list[tuple[int, int]]) -> None:
    flat = torch.arange(30.0)
    copied = host_copy([flat[start : start + length] for start, length in views])
    assert len({view.untyped_storage().data_ptr() for view in copied}) == 1
    assert copied[0].untyped_storage().nbytes() == flat.untyped_storage().nbytes()
    assert all(
        torch.equal(view, flat[start : start + length]) for view, (start, length) in zip(copied, views, strict=True)
    )
