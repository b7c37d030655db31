"""A metric and a perturbation that a module outside the project registers: evaluation writes them everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.evaluation.metrics import METRICS, selecting_metric
from dual_hpc.evaluation.perturbations import PERTURBATIONS
from dual_hpc.evaluation.report_files import write_reports
from dual_hpc.evaluation.run import evaluate
from dual_hpc.plugins import load_plugins
from launch.cli.score_table import robustness_table, score_table
from launch.sweeps.results import scores_on_test
from tests.unit.evaluation.test_run import data_of

_PLUGIN = """
import numpy as np
from dual_hpc.evaluation.metrics import METRICS, Metric
from dual_hpc.evaluation.perturbations import PERTURBATIONS, Perturbation, rng_for

def log_loss(truth, probabilities):
    return float(-np.log(probabilities[np.arange(len(truth)), truth] + 1e-9).mean())

def invert(batch, level, context):
    rows = [rng_for(context.seed, "inverted", key).random() < level / 100 for key in batch["keys"]]
    signs = 1 - 2 * np.array(rows, dtype=np.float32)
    return {**batch, "waveform": batch["waveform"] * signs[:, None]}

METRICS.register("log_loss", Metric("log loss", of_probabilities=log_loss, higher_is_better=False, percent=False))
INVERTED = Perturbation("inverted audio", "a", "% of the utterances", (50.0, 100.0), apply=invert)
PERTURBATIONS.register("inverted", INVERTED)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_evaluation.py").write_text(_PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    for registry in (METRICS, PERTURBATIONS):
        monkeypatch.setattr(registry, "_things", dict(registry._things))  # what it registers ends with the test
    load_plugins(["toy_evaluation"])


def test_a_plugins_metric_and_perturbation_are_in_every_report(
    plugin: None, saved_model: Any, shards: Any, tmp_path: Path
) -> None:
    assert selecting_metric("log_loss").oriented(0.5) > selecting_metric("log_loss").oriented(0.7)
    result = evaluate(saved_model, data_of(shards), robustness_seed=3)
    write_reports(tmp_path, "test_best", result)
    report, robustness = (json.loads((tmp_path / f"test_best{end}.json").read_text()) for end in ("", "_robustness"))
    loss = report["subsets"]["av"]["log_loss"]
    low, high = report["subsets"]["av"]["interval"]["log_loss"]
    assert loss > 0 and low <= loss <= high and "log_loss" in report["text_reliance"]
    assert f"**{loss:.3f}** [{low:.3f}, {high:.3f}]" in (tmp_path / "test_best.md").read_text()
    curves = {curve["disturbance"]: curve for curve in robustness["robustness"]["curves"]}
    assert [point["log_loss"] > 0 for point in curves["inverted audio"]["points"]] == [True, True]
    page = (tmp_path / "test_best_robustness.md").read_text()
    assert "## Inverted audio" in page and "{A,V} UA" in page and "{A,V} log loss" in page
    assert scores_on_test(tmp_path)["test log loss {A,V}"] == loss
    assert "log loss" in [column.header for column in score_table(result).columns]
    assert result.robustness is not None and robustness_table(result.robustness).row_count == 2 * len(
        result.robustness.curves
    )
