"""An evaluated sweep in a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.evaluation.prediction_file import write_predictions
from dual_hpc.run.directory import RunDir
from launch.sweeps.ablation import members
from launch.sweeps.grid import SweepDir, folder, listed
from tests.unit.evaluation.comparison.made import corpus, predictions


@pytest.fixture
def ablation_store(tmp_path: Path) -> Path:
    """An ablation whose SDM is worth something."""
    made = listed("demo-ablation", members({"no SDM": ("model.use_sdm=false",)}, seeds=[0, 1, 2]))
    sweep = SweepDir(folder(tmp_path, "demo-ablation"), made)
    sweep.path.mkdir(parents=True)
    sweep.save()
    for number, (member, where) in enumerate(zip(sweep.sweep.members, sweep.runs(), strict=True)):
        run = RunDir.create(
            where.path, load_config("demo", [f"store={tmp_path}", f"name={member.name}", *member.overrides])
        )
        share = 0.5 if "sdm" in member.name else 0.8
        about = {"seed": run.config().seed, "dataset": "sha-1", "run": member.name}
        found = predictions(corpus(), {"av": share, "avt": share}, chance=number, about=about)
        write_predictions(run.reports / "test_best_predictions.jsonl", found)
    return tmp_path
