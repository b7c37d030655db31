"""Evaluate a saved model, or a run's exported one, on a split of its shards; on any number of ranks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dual_hpc.config.schema import DataConfig
from dual_hpc.errors import UserError
from dual_hpc.evaluation.finished_batches import FinishedBatches, finished_batch
from dual_hpc.evaluation.prediction_file import ENDING, read_predictions
from dual_hpc.evaluation.prediction_set import result_of
from dual_hpc.evaluation.predictions import Part, predict_batch, predicting
from dual_hpc.evaluation.report_files import write_reports
from dual_hpc.evaluation.result import EvaluationResult
from dual_hpc.evaluation.selection import selection_of
from dual_hpc.evaluation.task import EvaluationTask, prepare
from dual_hpc.files.real_path import real_path
from dual_hpc.modality import ALL_SUBSETS as ALL_SUBSETS
from dual_hpc.model.arithmetic import arithmetic
from dual_hpc.plugins import load_plugins
from dual_hpc.progress import ProgressDisplay
from dual_hpc.run.directory import RunDir

ALONE = (0, 1)  # the only rank


def evaluate_run(
    run_dir: str | Path,
    split: str = "test",
    checkpoint: str = "best",
    subsets: Sequence[str] = ("av", "avt"),
    device: str | None = None,
    robustness_seed: int | None = None,
    noise: Path | None = None,
    out: Path | None = None,
    trust: bool = False,
    array: tuple[int, int] = ALONE,
    progress: bool | None = None,
) -> EvaluationResult | None:
    """Evaluate a run's exported weights on its own shards and write `reports/SPLIT_CHECKPOINT.{json,md,png}`.

    Killed and called again, it continues after the last finished batch.

    Args:
        checkpoint: "best" (chosen on validation) or "last".
        robustness_seed, noise: as for `evaluate`; the suite's files are `reports/SPLIT_CHECKPOINT_robustness.*`.
        out: a folder for the report instead of the run's `reports/`.
        trust: take the plugins of the run's code archive though others own or may write it.
        array: number of this rank, from 0, and how many share the work.
        progress: show a bar; None: on a terminal, and lines elsewhere where the robustness suite runs.

    Returns:
        None from one of several ranks while batches of others are missing, or where another writes the report.

    Raises:
        UserError: no run, no such export, no such split, plugins of others.
    """
    run = RunDir.open(run_dir)
    config = run.config()
    load_plugins(config.plugins, run.code, trust)
    model_dir = run.exports / checkpoint
    there = sorted(path.name for path in run.exports.glob("*"))
    if checkpoint not in there or not (model_dir / "config.json").is_file():
        names = ", ".join(there) or "none yet"
        raise UserError(f"the run {run.path} has no exported weights {checkpoint!r}; there are: {names}")
    about = {
        "run": run.path.name,
        "checkpoint": f"{checkpoint} ({real_path(model_dir).name})",
        "seed": config.seed,
        "selection": selection_of(run, config, checkpoint),
    }
    place = (out or run.reports, f"{split}_{checkpoint}")
    task = prepare(model_dir, config.data, split, subsets, device, about, robustness_seed, noise)
    return _work(task, place, array, progress)


def evaluate(
    model_dir: str | Path,
    data: DataConfig,
    split: str = "test",
    subsets: Sequence[str] = ("av", "avt"),
    device: str | None = None,
    about: dict[str, Any] | None = None,
    robustness_seed: int | None = None,
    noise: Path | None = None,
) -> EvaluationResult:
    """Evaluate a saved model on a split of `data.shards`; every subset from the same weights.

    The data are read once. Preprocessing is the model's own. Baselines use the class counts of the split the model
    was trained on.

    Args:
        split: "train", "validation", "test", or "all" for every labelled utterance.
        subsets: strings of a, v and t.
        device: torch's name; None takes a GPU where there is one.
        robustness_seed: also run the robustness suite, whose random draws depend on this number.
        noise: a folder of recordings for that suite.

    Raises:
        UserError: not a saved model, other classes than the protocol's, unknown split or subset, nothing to evaluate.
    """
    result = _work(prepare(model_dir, data, split, subsets, device, about, robustness_seed, noise), None, ALONE)
    assert result is not None, "only one of several ranks leaves the report to another"
    return result


def evaluate_into(
    folder: Path,
    model_dir: str | Path,
    data: DataConfig,
    split: str,
    subsets: Sequence[str],
    robustness_seed: int | None = None,
    noise: Path | None = None,
    array: tuple[int, int] = ALONE,
    progress: bool | None = None,
) -> EvaluationResult | None:
    """`evaluate`, with the report in `folder`, on several ranks and restartable as `evaluate_run` is."""
    task = prepare(model_dir, data, split, subsets, None, None, robustness_seed, noise)
    return _work(task, (folder, split), array, progress)


def _work(
    task: EvaluationTask, place: tuple[Path, str] | None, array: tuple[int, int], progress: bool | None = None
) -> EvaluationResult | None:
    """Do this rank's share; whoever finds every batch done writes the report.

    Args:
        place: folder and name of the report; None: nothing is written.
    """
    if array != ALONE and place is not None and (done := _written(place, task.fingerprint)) is not None:
        return done
    batches = FinishedBatches(place, task.fingerprint, task.batches, array)
    _predict(task, batches, progress)
    if (found := batches.found) is None:
        return None
    predictions = task.predictions(found)
    if not all(np.isfinite(one.probabilities).all() for one in predictions.found.values()):
        raise UserError(f"{task.model_dir}: the model's answers are not numbers (NaN); its training diverged")
    if not next(iter(predictions.found.values())).keys:
        split, count = task.facts["split"], len(task.numbers)
        raise UserError(f"data.shards: none of the {count} utterances of the {split} split can be decoded")
    with batches.report_once() as mine:
        if not mine:
            return None
        result = result_of(predictions)
        if place is not None:
            write_reports(*place, result)
    return result


def _predict(task: EvaluationTask, batches: FinishedBatches, progress: bool | None) -> None:
    numbers = batches.mine
    if not numbers:
        return
    passes = len(numbers) * len(task.views)
    loader = task.loader(numbers)
    shown = progress if progress is not None or task.suite is not None else sys.stderr.isatty()
    try:
        with (
            ProgressDisplay(f"evaluating {task.facts['split']}", passes, shown=shown) as bar,
            arithmetic(),
            predicting(task.model),
        ):
            if task.suite is not None:
                bar.say(f"{len(numbers)} batches under {len(task.views)} conditions each: {passes:,} forward passes")
            for number, batch in zip(numbers, loader, strict=True):
                answers: dict[str, Part] = {name: ([], [], [], []) for name in task.views}
                predict_batch(task.model, batch, task.views, answers, task.device, task.inputs)
                undecodable = sum(
                    1 for key, good in zip(batch["keys"], batch["valid"].tolist(), strict=True) if key and not good
                )
                clipped = {} if task.suite is None else task.suite.take_clipped()
                batches.add(finished_batch(number, undecodable, answers, clipped))
                bar.advance(len(task.views))
    finally:
        loader.close()


def _written(place: tuple[Path, str], fingerprint: str) -> EvaluationResult | None:
    """The result of this very evaluation, if its report is there: a rank that is started again has nothing to do."""
    try:
        predictions = read_predictions(place[0] / f"{place[1]}{ENDING}")
    except UserError:
        return None
    return result_of(predictions) if predictions.fingerprint == fingerprint else None
