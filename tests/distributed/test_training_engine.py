"""The engine, the step and the checkpoint under every ZeRO stage, with a small network on real ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(300)]
STAGES = (0, 1, 2, 3)


@pytest.fixture
def toy(start_ranks: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    def run(scenario: str, stage: int, world_size: int = 2, precision: str = "fp32", root: Path | None = None) -> Any:
        root = root or tmp_path / f"{scenario}-{stage}-{world_size}-{precision}"
        root.mkdir(exist_ok=True)
        start_ranks("toy", world_size, scenario, root, stage, precision).check()
        return json.loads((root / f"{scenario}.json").read_text())

    return run


def test_all_stages_on_two_ranks_follow_one_rank_without_zero(toy: Callable[..., Any]) -> None:
    plain = toy("curve", 0, world_size=1)
    assert plain["losses"][4] < plain["losses"][0]
    for stage in STAGES:
        shared = toy("curve", stage)
        assert shared["losses"] == pytest.approx(plain["losses"], rel=1e-5)
        assert shared["norms"] == pytest.approx(plain["norms"], rel=1e-5)
        for name, value in plain["weights"].items():
            assert shared["weights"][name] == pytest.approx(value, rel=1e-5, abs=1e-6), (stage, name)


@pytest.mark.parametrize(("stage", "precision"), [(0, "fp32"), (1, "bf16"), (2, "fp16"), (3, "fp32"), (3, "bf16")])
def test_a_resumed_training_equals_the_undisturbed_one_bit_for_bit(
    toy: Callable[..., Any], stage: int, precision: str, tmp_path: Path
) -> None:
    whole = toy("curve", stage, precision=precision)
    first = toy("first_half", stage, precision=precision, root=tmp_path / "run")
    second = toy("second_half", stage, precision=precision, root=tmp_path / "run")
    assert second["start"] == 3
    assert first["losses"] + second["losses"] == whole["losses"]
    assert second["norms"] == whole["norms"][3:]
    assert second["weights"] == whole["weights"]


@pytest.mark.parametrize(("stage", "precision"), [(0, "fp32"), (1, "fp32"), (2, "bf16"), (3, "fp32"), (3, "bf16")])
def test_a_step_that_is_not_finite_on_one_rank_is_given_up_on_all(
    toy: Callable[..., Any], stage: int, precision: str
) -> None:
    result = toy("poisoned", stage, precision=precision)
    assert result["first_kept"] and result["gradient_kept"] and result["moved_at_last"] and result["finite"]
    assert result["applied"] == [False, True, True, False, True]
    assert result["healthy"] == [False, True, True, False, True]
    assert "s1_11" in result["suspects"]
    assert len(result["suspects"]) == 3  # the micro-batch, on one rank


def test_a_disk_full_on_one_rank_is_known_to_all_and_costs_no_checkpoint(toy: Callable[..., Any]) -> None:
    result = toy("failing_disk", 2)
    assert all("No space left on device" in answer and "rank 1" in answer for answer in result["answers"])
    assert result["left"] == ["latest", "step_00000002"]
