"""Checkpoints that are written while the training goes on, on real ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dual_hpc.checkpoint import select
from dual_hpc.model import load_model
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.training.export import export_checkpoint

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]


WRITTEN = ("0:fp32", "1:bf16", "3:bf16")
ROLLED_BACK = ("0:fp32", "2:fp32", "3:bf16")


@pytest.fixture(scope="module")
def results(start_ranks: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All scenarios of the small network, on two ranks."""
    root = tmp_path_factory.mktemp("saving")
    jobs = (*(f"same:{case}" for case in WRITTEN), *(f"rolled_back:{case}" for case in ROLLED_BACK))
    start_ranks("saving", 2, "toy", root, *jobs, "full:1:fp32", "full:3:fp32", "gone:2:bf16").check()
    return dict(json.loads((root / "results.json").read_text()))


@pytest.mark.parametrize("case", WRITTEN)
def test_an_asynchronous_save_writes_the_files_of_a_synchronous_one(results: dict[str, Any], case: str) -> None:
    assert results[f"same:{case}"] == {"same": True, "done": False, "step": 2}


@pytest.mark.parametrize("case", ROLLED_BACK)
def test_a_rollback_restores_the_checkpoint_and_leaves_no_trace_of_later_steps(
    results: dict[str, Any], case: str
) -> None:
    assert results[f"rolled_back:{case}"] == {"back": 3, "same": True}


@pytest.mark.parametrize("stage", [1, 3])
def test_a_disk_that_fills_up_during_an_asynchronous_save_is_reported_on_all_ranks(
    results: dict[str, Any], stage: int
) -> None:
    result = results[f"full:{stage}:fp32"]
    assert all("checkpoint of step 3" in answer and "rank 1: File too large" in answer for answer in result["answers"])
    assert result["left"] == ["step_00000002"] and result["verified"] == [2, 4]


def test_a_store_that_vanishes_is_reported_on_all_ranks(results: dict[str, Any]) -> None:
    result = results["gone:2:bf16"]
    assert all("No such file or directory" in answer for answer in result["answers"])
    assert result["verified"] == 2


def test_a_run_that_stays_non_finite_rolls_back_once_and_ends_with_an_error_that_names_the_samples(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    run = make_run("non-finite", "training.on_non_finite=rollback", "training.non_finite_limit=2")
    ranks = start_ranks("saving", 2, "train", run.path, NON_FINITE="4")
    assert [process.wait() for process in ranks.processes] == [2, 2]
    said = ranks.outputs[0].read_text()
    assert "back to the weights of step 3" in said and "although the run went back to step 3 before" in said
    entries = list(read(run.journal))
    assert [(entry.step, entry.fields["to"]) for entry in entries if entry.event == "rollback"] == [(5, 3)]
    assert [entry.step for entry in entries if entry.event == "non_finite"] == [4, 5, 6, 7]
    named = json.loads((run.reports / "non_finite-7.json").read_text())["steps"]
    assert list(named) == ["6", "7"] and all(len(keys) == 12 and keys[0].startswith("u") for keys in named.values())


def test_a_full_disk_is_survived_until_the_last_chance(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    run = make_run("full")
    ranks = start_ranks("saving", 2, "train", run.path, FULL="3")
    assert [process.wait() for process in ranks.processes] == [1, 1]
    said = ranks.outputs[0].read_text()
    assert "WARNING: checkpoint of step 6 was not saved" in said and "training goes on" in said
    assert "EnvironmentFault: checkpoint of step 7 was not saved" in said and "Traceback" not in said
    assert select.steps(run.checkpoints) == [2, 3] and not select.verify(run.checkpoints / "step_00000003")
    assert sorted(replay(read(run.journal))["train/loss"]) == list(range(1, 8))
    assert load_model(run.exports / "best")


def test_a_checkpoint_exported_without_ranks_is_the_training_s_own_export(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    run = make_run("partitioned", "training.zero_stage=3", "training.precision=bf16", "model.text.trainable=none")
    start_ranks("train", 2, run.path).check()
    made = export_checkpoint(run.path)
    assert made == run.exports / "checkpoint-7"
    for name in ("config.json", "model.safetensors"):
        assert (made / name).read_bytes() == (run.exports / "last" / name).read_bytes(), name
    assert load_model(made)[1] is not None  # the tokenizer came along
