"""The engine, the step and the checkpoint under every ZeRO stage, with a small network on real ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
STAGES = (0, 1, 2, 3)
RESUMED = ("0:fp32", "0:bf16", "1:bf16", "2:fp32", "2:bf16", "3:fp32", "3:bf16")
POISONED = ("0:fp32", "0:bf16", "1:fp32", "1:bf16", "2:bf16", "3:fp32", "3:bf16")
JOBS = (
    *(f"curve:{stage}:fp32" for stage in STAGES),
    *(f"curve:{case}" for case in ("0:bf16", "1:bf16", "2:bf16", "3:bf16")),
    *(f"recomputed:{stage}:fp32" for stage in STAGES),
    *(f"halves:{case}" for case in RESUMED),
    *(f"poisoned:{case}" for case in POISONED),
    "failing_disk:2:fp32",
)


@pytest.fixture(scope="module")
def results(start_ranks: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All jobs on two ranks, and the plain one on a single rank; starting ranks costs more than the jobs."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    start_ranks("toy", 1, one, "curve:0:fp32").check()
    start_ranks("toy", 2, two, *JOBS).check()
    plain = json.loads((one / "results.json").read_text())["curve:0:fp32"]
    return {**json.loads((two / "results.json").read_text()), "plain": plain}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_on_two_ranks_follows_one_rank_without_zero(results: dict[str, Any], stage: int) -> None:
    plain, shared = results["plain"], results[f"curve:{stage}:fp32"]
    assert plain["losses"][4] < plain["losses"][0]
    assert shared["losses"] == pytest.approx(plain["losses"], rel=1e-5)
    assert shared["norms"] == pytest.approx(plain["norms"], rel=1e-5)
    for name, value in plain["weights"].items():
        assert shared["weights"][name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("stage", STAGES)
def test_activations_computed_again_change_no_bit(results: dict[str, Any], stage: int) -> None:
    assert results[f"recomputed:{stage}:fp32"] == results[f"curve:{stage}:fp32"]


@pytest.mark.parametrize("case", RESUMED)
def test_a_resumed_training_equals_the_undisturbed_one_bit_for_bit(results: dict[str, Any], case: str) -> None:
    whole, halves = results[f"curve:{case}"], results[f"halves:{case}"]
    assert halves["start"] == 3 and halves["rejected"] == []
    assert {key: halves[key] for key in whole} == whole


@pytest.mark.parametrize("case", RESUMED)
def test_a_resumed_training_holds_no_file_of_its_checkpoint(results: dict[str, Any], case: str) -> None:
    assert results[f"halves:{case}"]["mapped"] == [[], []]


@pytest.mark.parametrize("case", POISONED)
def test_a_step_that_is_not_finite_on_one_rank_is_skipped_on_all(results: dict[str, Any], case: str) -> None:
    result = results[f"poisoned:{case}"]
    assert result["first_kept"] and result["gradient_kept"] and result["moved_at_last"] and result["weights_finite"]
    assert result["applied"] == [False, True, True, False, True]
    assert result["finite"] == [False, True, True, False, True]
    assert result["suspect_keys"] == ["s1_9", "s1_10", "s1_11"]  # the micro-batch, on the one rank that had it


def test_a_disk_full_on_one_rank_is_known_to_all_and_costs_no_checkpoint(results: dict[str, Any]) -> None:
    result = results["failing_disk:2:fp32"]
    assert all("No space left on device" in answer and "rank 1" in answer for answer in result["answers"])
    assert result["left"] == ["step_00000002"]
