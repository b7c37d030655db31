"""The benchmark times nobody whose result is wrong."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    import benchmarks.kernels.__main__ as main

    return main


@pytest.mark.parametrize("op", ["sdm", "vdm", "alignment"])
def test_every_contestant_is_correct_and_timed(bench: Any, op: str) -> None:
    entry = bench.compare(bench.Case(op, 2, 9, 8, torch.float32, "cpu"), seconds=0)
    assert entry["wrong"] == []
    assert all(len(c["both"]) == 3 for c in entry["contestants"].values())
    assert {row["unit"] for row in bench.rows_of(entry)} == {"ms", "MB kept"}


def test_who_is_wrong_or_cannot_run_is_named_and_not_timed(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: Any) -> None:
        raise RuntimeError("no such device")

    def wrong(case: Any) -> Any:
        x = case.randn(case.batch, case.steps, case.width)
        return lambda: 1.1 * x, [x]

    real = bench.contestants
    monkeypatch.setattr(bench, "contestants", lambda c: real(c) | {"broken": broken, "dual_hpc wrong": wrong})
    entry = bench.compare(bench.Case("sdm", 2, 9, 8, torch.float32, "cpu"), seconds=0)
    assert entry["wrong"] == ["broken", "dual_hpc wrong"]
    assert "no such device" in entry["contestants"]["broken"]["error"]
    assert "both" not in entry["contestants"]["dual_hpc wrong"]
    assert not any("wrong" in row["case"] for row in bench.rows_of(entry))


def test_a_case_in_which_nobody_is_right_ends_without_times(bench: Any) -> None:
    entry = bench.compare(bench.Case("vdm", 1, 2, 4, torch.float32, "cpu"), seconds=0)  # its one sequence is empty
    assert set(entry["wrong"]) >= {"dual_hpc auto", "eager torch"}
    assert bench.rows_of(entry) == []


def test_every_peer_takes_part_on_a_gpu_and_is_named_where_it_is_not_installed(bench: Any) -> None:
    cases = [bench.Case(*shape, device="cuda") for shape in bench.GPU]
    names = {name for case in cases for name in bench.contestants(case)}
    assert names >= {"torchrl Triton LSTM", "haste", "FlashRNN", "Liger's LayerNorm", "fla's token_shift"}
    assert sum("FlashRNN" in bench.contestants(case) for case in cases) == 1
    missing = bench.measure.attempt(lambda: importlib.import_module("a_peer_that_is_not_here"))
    entry = {"contestants": {"haste": {"error": missing}}}
    assert bench.absent(entry) == ["haste (ModuleNotFoundError: No module named 'a_peer_that_is_not_here')"]


def test_a_difference_that_looks_back_is_turned_round(bench: Any) -> None:
    from benchmarks.kernels import contestants, measure

    case = bench.Case("vdm", 3, 7, 8, torch.float32, "cpu")
    got = measure.gradients(contestants.eager_vdm(case, token_shift=lambda x: F.pad(x, (0, 0, 1, 0))[:, :-1] - x))
    assert measure.error(got, measure.truth(case)) < 1e-5
