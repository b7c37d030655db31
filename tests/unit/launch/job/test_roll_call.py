"""What the ranks' reports mean for all of them."""

from __future__ import annotations

import json

import pytest

from dual_hpc.errors import UserError
from launch.job.node_faults import BadNode
from launch.job.roll_call import Report, Verdict, judge

GOOD = Report(gpu="a")


def test_good_reports_let_all_begin() -> None:
    assert judge(["n1", "n1", "n2"], [GOOD, Report(gpu="b"), GOOD], 60).error() is None  # ids are a node's own
    assert judge(["n1", "n1"], [Report(), Report()], 60).error() is None  # processors


def test_every_unfit_node_is_named_with_its_problem() -> None:
    found = judge(["n1", "n2", "n3", "n4"], [GOOD, Report("dark"), None, Report("dark")], 60)
    assert found == Verdict("n2, n4: dark; n3: no answer within 60 s", ["n2", "n3", "n4"])
    fault = Verdict(**json.loads(found.text())).error()
    assert (
        isinstance(fault, BadNode) and fault.nodes == ["n2", "n3", "n4"] and str(fault).startswith("node n2, n4: dark")
    )


@pytest.mark.parametrize(("gpus", "fit"), [("aaaa", 1), ("abab", 2), ("abca", 3)])
def test_ranks_that_share_a_gpu_are_told_how_many_fit(gpus: str, fit: int) -> None:
    found = judge(["n1"] * 4, [Report(gpu=gpu) for gpu in gpus], 60).error()
    assert isinstance(found, UserError) and f"set launch.ranks_per_node={fit}," in str(found)
    assert "launch.ranks_per_node=4: ranks 0," in str(found) and " on n1 have one GPU (a)" in str(found)
