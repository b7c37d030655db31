"""Every registered model learns the same on two ranks, under each ZeRO stage, as in plain PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dual_hpc.model.family import FAMILIES

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def results(start_ranks: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("families")
    start_ranks("families", 2, root).check()
    found: dict[str, Any] = json.loads((root / "families.json").read_text())
    return found


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("family", FAMILIES.names())
def test_losses_and_gradients_are_those_of_one_process(results: dict[str, Any], family: str, stage: int) -> None:
    plain, found = results[family]["plain"], results[family][str(stage)]
    assert found["losses"] == pytest.approx(plain["losses"], rel=2e-4)
    assert found["norms"] == pytest.approx(plain["norms"], rel=2e-3)
    assert plain["losses"][0] != plain["losses"][-1] and min(plain["norms"]) > 0
