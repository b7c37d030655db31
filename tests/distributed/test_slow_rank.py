"""What is slow is named, on real ranks; `make bench-slow_rank` does it with forty planted slowdowns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
CASES = {
    "1:forward:80:2": (1, "forward"),
    "0:backward:80:1": (0, "backward"),
    "1:loader:250:1": (1, "data_wait"),
    "1:disk:100:2": (1, "writing"),
    "all:loader:250:1": (None, "data_wait"),
    "none:none:0:1": (None, None),
}


def test_a_slow_rank_is_named_with_what_it_is_slow_in(start_ranks: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "concluded.jsonl"
    start_ranks("slow_rank", 2, out, *CASES).check()
    found = {answer["case"]: answer for answer in map(json.loads, out.read_text().splitlines())}
    assert {case: (answer["rank"], answer["phase"]) for case, answer in found.items()} == CASES
    assert "rank 1 (n1)" in found["1:forward:80:2"]["sentence"]
    assert found["all:loader:250:1"]["sentence"].startswith("input-bound: ")
