"""What `compare` and `paper` are given: the predictions of runs, of sweeps' experiments, and of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.evaluation.comparison.models import Model, model_of
from dual_hpc.evaluation.prediction_file import ENDING, read_predictions
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.evaluation.report_files import ROBUSTNESS
from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from launch.records.nearest import did_you_mean
from launch.runs.plan import find_run
from launch.sweeps.grid import SweepDir, experiment, find_sweep

FULL = "full"  # the experiment of an ablation that changes nothing


def models_of(words: Sequence[str], store: Path, report: str = "test_best") -> list[Model]:
    """The models that these words name: a run, predictions (a file, or the folder of a report), or each experiment of
    a sweep.

    Args:
        report: SPLIT_CHECKPOINT, as the files of a report are called.

    Raises:
        UserError: there is nothing of a name, or it was not evaluated.
    """
    return [model for word in words for model in _models(word, store, report)]


def models_of_sweep(sweep: SweepDir, report: str = "test_best") -> list[Model]:
    """One model per experiment: the members that differ in nothing but fold and seed."""
    again = f"`dual-hpc sweep --evaluate {sweep.sweep.name}` writes them"
    groups: dict[tuple[str, ...], list[RunDir]] = {}
    for member, run in zip(sweep.sweep.members, sweep.runs(), strict=True):
        groups.setdefault(experiment(member.overrides), []).append(run)
    named = _names(list(groups), sweep.sweep.name)
    return [_model(name, runs, report, again) for name, runs in zip(named, groups.values(), strict=True)]


def predictions_of(run: RunDir, report: str, again: str) -> PredictionSet:
    """The predictions of an evaluated run.

    Args:
        again: how to get them, for the message.

    Raises:
        UserError: there are none.
    """
    file = run.reports / f"{report}{ENDING}"
    if not file.exists():
        raise UserError(f"{run.path.name} has no predictions ({names.REPORTS}/{file.name}): {again}")
    return _with_seed(read_predictions(file), run)


def _model(name: str, runs: Sequence[RunDir], report: str, again: str) -> Model:
    suites = [run.reports / f"{report}{ROBUSTNESS}{ENDING}" for run in runs]
    there = [read_predictions(file) for file in suites if file.exists()]
    return model_of(name, [predictions_of(run, report, again) for run in runs], there)


def _models(word: str, store: Path, report: str) -> list[Model]:
    path = Path(word)
    if (inside := path / f"{report}{ENDING}").is_file():  # the folder of a report, as of `dual-hpc baseline --out`
        path = inside
    if path.is_file():
        found = read_predictions(path)
        name = str(found.about.get("run") or found.about.get("model") or path.name.removesuffix(ENDING))
        return [model_of(Path(name).name, [found])]
    try:
        run = find_run(word, str(store))
    except UserError:
        if (sweep := find_sweep(word, store)) is not None:
            return models_of_sweep(sweep, report)
        if any(place.exists() for place in (path, store / "runs" / word)):
            raise
        meant = did_you_mean(word, [store / "runs", store / "sweeps"])
        raise UserError(f"there is no run, sweep or file of predictions {word!r} in {store}{meant}") from None
    split, _, checkpoint = report.partition("_")
    options = "".join(
        f" --{option} {value}"
        for option, value, usual in (("split", split, "test"), ("checkpoint", checkpoint, "best"))
        if value != usual
    )
    return [_model(run.path.name, [run], report, f"`dual-hpc evaluate {word}{options}` writes them")]


def _with_seed(predictions: PredictionSet, run: RunDir) -> PredictionSet:
    """With the seed of the training, which reports of earlier versions lack."""
    if "seed" in predictions.about:
        return predictions
    return replace(predictions, about={**predictions.about, "seed": run.config().seed})


def _names(experiments: Sequence[Sequence[str]], sweep: str) -> list[str]:
    """What to call the experiments of a sweep: by the values where one setting differs, else by their settings.

    One that changes nothing is "full" beside others, and has the name of the sweep alone.
    """
    keys = {setting.partition("=")[0] for settings in experiments for setting in settings}
    if len(keys) == 1 and all(experiments):
        return [settings[0].partition("=")[2] for settings in experiments]
    unchanged = FULL if len(experiments) > 1 else sweep
    return [" ".join(map(_without_section, settings)) or unchanged for settings in experiments]


def _without_section(setting: str) -> str:
    """ "model.use_sdm=false" -> "use_sdm=false"."""
    key, separator, value = setting.partition("=")
    return f"{key.rpartition('.')[2]}{separator}{value}"
