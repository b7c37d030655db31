"""Ranks compare code, configuration and weights before they start."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault
from dual_hpc.training import rank_agreement
from dual_hpc.training.rank_agreement import check_ranks_agree, minority_ranks


class Others:
    """A group in which the others have said what they are."""

    rank, size = 0, 3

    def __init__(self, change: dict[str, str]) -> None:
        self._change = change

    def all_gather(self, value: dict[str, str]) -> list[dict[str, str]]:
        return [value, {**value, **self._change}, value]


def check(model: nn.Module | None = None, **change: str) -> None:
    world: Any = Others({key.replace("_", " "): value for key, value in change.items()})
    check_ranks_agree(load_config("demo", []), model or nn.Linear(2, 2), world)


def test_equal_ranks_start() -> None:
    check()


@pytest.mark.parametrize("what", ["code", "configuration", "initial_weights"])
def test_a_rank_that_differs_is_named_with_what_differs(what: str) -> None:
    with pytest.raises(EnvironmentFault, match=rf"rank\(s\) 1 start with different {what.replace('_', ' ')}"):
        check(None, **{what: "other"})


def test_ranks_also_agree_on_what_decides_no_result() -> None:
    said: list[dict[str, str]] = []

    class Listener:
        def all_gather(self, value: dict[str, str]) -> list[dict[str, str]]:
            said.append(value)
            return [value]

    listener: Any = Listener()
    for every in (3, 4):  # ranks that save at different steps would wait for each other for ever
        check_ranks_agree(load_config("demo", [f"checkpoint.every_steps={every}"]), nn.Identity(), listener)
    assert said[0]["configuration"] != said[1]["configuration"]


def test_one_changed_bit_is_another_model() -> None:
    first, second = nn.Linear(3, 3).bfloat16(), nn.Linear(3, 3).bfloat16()
    second.load_state_dict(first.state_dict())
    hashed = [rank_agreement._weights_hash(model.state_dict().items()) for model in (first, second)]
    assert hashed[0] == hashed[1]
    with torch.no_grad():
        second.bias[0] += 1
    assert rank_agreement._weights_hash(second.state_dict().items()) != hashed[0]


def test_the_majority_is_right_and_of_two_rank_0() -> None:
    assert minority_ranks(["a", "b"]) == [1]
    assert minority_ranks(["b", "a", "a"]) == [0]
    assert minority_ranks(["a", "a"]) == []
