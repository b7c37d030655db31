"""Checkpoints that are written while the training goes on, on real ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dual_hpc.model import load_model
from dual_hpc.tracking.run_dir import RunDir
from dual_hpc.training.export import export_checkpoint

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]


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
