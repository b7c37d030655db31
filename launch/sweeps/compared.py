"""What `compare` and `paper` are given: the predictions of runs, of sweeps' experiments, and of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dual_hpc.config.paths import runs_dir
from dual_hpc.errors import UserError
from dual_hpc.evaluation.comparison.models import Model, model_of
from dual_hpc.evaluation.prediction_file import ENDING, read_predictions
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.evaluation.report_files import ROBUSTNESS
from dual_hpc.files.real_path import real_path
from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from launch.records.nearest import did_you_mean
from launch.runs.plan import find_run
from launch.sweeps.grid import SweepDir, experiment, find_sweep

FULL = "full"  # the experiment of an ablation that changes nothing
USUAL = "test_best"  # what `dual-hpc evaluate` and `dual-hpc sweep --evaluate` write unless they are told otherwise


@dataclass(frozen=True)
class Named:
    """A model, and where it comes from.

    Attributes:
        files: its predictions.
        above: folders that tell it from another one of its name, the nearest first.
    """

    model: Model
    files: tuple[Path, ...]
    above: tuple[str, ...]


def models_of(words: Sequence[str], store: Path, report: str = USUAL) -> list[Model]:
    """The models that these words name: a run, predictions (a file, or the folder of a report), or each experiment of
    a sweep. Several of one name, as runs of two stores, are told apart by their folders.

    Args:
        report: SPLIT_CHECKPOINT, as the files of a report are called.

    Raises:
        UserError: there is nothing of a name, it was not evaluated, or the same predictions are named twice.
    """
    found = [one for word in words for one in _models(word, store, report)]
    files = [one.files for one in found]
    if twice := [one.model.name for one in found if files.count(one.files) > 1]:
        raise UserError(f"compare: {twice[0]} is named twice")
    return [one.model for one in _told_apart(found)]


def models_of_sweep(sweep: SweepDir, report: str = USUAL) -> list[Model]:
    """One model per experiment: the members that differ in nothing but fold and seed."""
    return [one.model for one in _experiments(sweep, report)]


def predictions_of(run: RunDir, report: str, again: str) -> PredictionSet:
    """The predictions of an evaluated run.

    Args:
        again: how to get them, for the message.

    Raises:
        UserError: there are none.
    """
    file = _file(run, report)
    if not file.exists():
        raise UserError(f"{run.path.name} has no predictions ({names.REPORTS}/{file.name}): {again}")
    return _with_seed(read_predictions(file), run)


def _experiments(sweep: SweepDir, report: str) -> list[Named]:
    groups: dict[tuple[str, ...], list[RunDir]] = {}
    for member, run in zip(sweep.sweep.members, sweep.runs(), strict=True):
        groups.setdefault(experiment(member.overrides), []).append(run)
    named = _names(list(groups), sweep.sweep.name)
    above = tuple(reversed(sweep.path.absolute().parts))
    return [
        Named(_model(name, runs, report, sweep), _files(runs, report), above)
        for name, runs in zip(named, groups.values(), strict=True)
    ]


def _model(name: str, runs: Sequence[RunDir], report: str, sweep: SweepDir | None = None) -> Model:
    suites = [run.reports / f"{report}{ROBUSTNESS}{ENDING}" for run in runs]
    there = [read_predictions(file) for file in suites if file.exists()]
    return model_of(name, [predictions_of(run, report, _again(run, report, sweep)) for run in runs], there)


def _models(word: str, store: Path, report: str) -> list[Named]:
    path = Path(word)
    if (inside := path / f"{report}{ENDING}").is_file():  # the folder of a report, as of `dual-hpc baseline --out`
        path = inside
    if path.is_file():
        found = read_predictions(path)
        name = str(found.about.get("run") or found.about.get("model") or path.name.removesuffix(ENDING))
        file = real_path(path)
        return [Named(model_of(Path(name).name, [found]), (file,), tuple(reversed(file.parent.parts)))]
    try:
        run = find_run(word, str(store))
    except UserError:
        if (sweep := find_sweep(word, store)) is not None:
            return _experiments(sweep, report)
        if any(place.exists() for place in (path, store / "runs" / word)):
            raise
        meant = did_you_mean(word, [store / "runs", store / "sweeps"])
        raise UserError(f"there is no run, sweep or file of predictions {word!r} in {store}{meant}") from None
    runs, *above = reversed(run.path.absolute().parent.parts)
    above = above if runs == runs_dir(store).name else [runs, *above]
    return [Named(_model(run.path.name, [run], report), _files([run], report), tuple(above))]


def _told_apart(found: Sequence[Named]) -> list[Named]:
    """With folders before the names that several have, until none is left that two share."""
    named = list(found)
    while True:
        taken = [one.model.name for one in named]
        if not (shared := {n for n, one in enumerate(named) if taken.count(one.model.name) > 1 and one.above}):
            return named
        named = [_with_folder(one) if n in shared else one for n, one in enumerate(named)]


def _with_folder(one: Named) -> Named:
    folder, *above = one.above
    return replace(one, model=replace(one.model, name=f"{folder}/{one.model.name}"), above=tuple(above))


def _again(run: RunDir, report: str, sweep: SweepDir | None) -> str:
    """How to get the predictions that a run lacks."""
    split, _, checkpoint = report.rpartition("_")
    if sweep is not None and not (run.exports / checkpoint).exists():
        name = sweep.sweep.name
        return (
            f"nor weights to evaluate; `dual-hpc why {run.path.name}` says why, `dual-hpc sweep --resubmit {name}` "
            "trains the members that did not finish"
        )
    if sweep is not None and report == USUAL:
        return f"`dual-hpc sweep --evaluate {sweep.sweep.name}` writes them"
    options = "".join(
        f" --{option} {value}"
        for option, value, usual in (("split", split, "test"), ("checkpoint", checkpoint, "best"))
        if value != usual
    )
    return f"`dual-hpc evaluate {run.path.name}{options}` writes them"


def _file(run: RunDir, report: str) -> Path:
    return run.reports / f"{report}{ENDING}"


def _files(runs: Sequence[RunDir], report: str) -> tuple[Path, ...]:
    return tuple(real_path(_file(run, report)) for run in runs)


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
    short = [" ".join(map(_without_section, settings)) or unchanged for settings in experiments]
    whole = [" ".join(settings) or unchanged for settings in experiments]  # model.audio.path and model.video.path
    return [one if short.count(one) == 1 else other for one, other in zip(short, whole, strict=True)]


def _without_section(setting: str) -> str:
    """ "model.use_sdm=false" -> "use_sdm=false"."""
    key, separator, value = setting.partition("=")
    return f"{key.rpartition('.')[2]}{separator}{value}"
