"""What has finished so far, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.science.corpus import DYNAMIC, STATIC
from benchmarks.science.members import DUAL, Member
from benchmarks.science.training import REPORT, predictions_file
from dual_hpc.evaluation.comparison.comparison import Comparison, compare
from dual_hpc.evaluation.comparison.measures import LOST, MISLED, RELIANCE, TURNED, Measure
from dual_hpc.evaluation.comparison.models import Model, model_of
from dual_hpc.evaluation.comparison.sampling import Estimate
from dual_hpc.evaluation.metrics.metric import Array
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.evaluation.tables import table
from dual_hpc.run.directory import RunDir
from launch.sweeps.compared import predictions_of

FAMILIES = (
    Measure("UA", "avt"),
    Measure("UA", "av"),
    Measure(MISLED, kind="text"),
    Measure(RELIANCE, kind="text"),
    Measure(LOST, kind="text"),
    Measure(TURNED, kind="text"),
)


def finished(members: Sequence[Member], seeds: Sequence[int], runs: Path) -> dict[str, dict[int, PredictionSet]]:
    """Name of a member -> seed -> its predictions, of those that are there."""
    found: dict[str, dict[int, PredictionSet]] = {}
    for member in members:
        for seed in seeds:
            run = runs / member.run_name(seed)
            if predictions_file(run).exists():
                found.setdefault(member.name, {})[seed] = predictions_of(RunDir(run), REPORT, "")
    return found


def models(found: Mapping[str, Mapping[int, PredictionSet]]) -> list[Model]:
    """One model per member, of all its seeds that have finished."""
    return [model_of(name, list(by_seed.values())) for name, by_seed in found.items()]


def families_table(comparison: Comparison) -> list[str]:
    """Scores in percent, then the differences DUAL minus other in points."""
    heading = ["model", "seeds", *(measure.heading for measure in FAMILIES)]
    rows = [
        [model.name, str(len(model.seeds)), *(_value(values[m]) if m in values else "" for m in FAMILIES)]
        for model, values in zip(comparison.models, comparison.values, strict=True)
    ]
    differences = []
    for model, compared in zip(comparison.models, comparison.differences, strict=True):
        if compared:
            cells = [_turned_round(compared[m].estimate, compared[m].p_holm) if m in compared else "" for m in FAMILIES]
            differences.append([f"{comparison.models[0].name} - {model.name}", str(len(model.seeds)), *cells])
    return [*table(heading, rows), "", *table(heading, differences)]


def verdicts(comparison: Comparison) -> list[str]:
    """What the table says, in words: by each measure who lies above DUAL, below it, or cannot be told apart from it."""
    lines = []
    for measure in (
        Measure("UA", "avt"),
        Measure("UA", "av"),
        Measure(MISLED, kind="text"),
        Measure(RELIANCE, kind="text"),
    ):
        sides: dict[str, list[str]] = {"above": [], "not told apart": [], "below": []}
        for model, compared in zip(comparison.models, comparison.differences, strict=True):
            if measure in compared:
                one = compared[measure].estimate
                side = "above" if one.low > 0 else "below" if one.high < 0 else "not told apart"
                sides[side].append(model.name)
        told = "; ".join(f"{side}: {', '.join(names) or 'none'}" for side, names in sides.items())
        lines.append(f"- {measure.heading}, beside {DUAL}'s: {told}.")
    lost = {
        model.name: values[Measure("UA", "avt")].value - values[Measure(MISLED, kind="text")].value
        for model, values in zip(comparison.models, comparison.values, strict=True)
        if Measure(MISLED, kind="text") in values
    }
    falling = sorted(lost, key=lambda name: -lost[name])
    lines.append(
        f"- Points of UA that misleading text costs: {', '.join(f'{n} {100 * lost[n]:.1f}' for n in falling)}."
    )
    return lines


def classes_of(predictions: PredictionSet, subset: str, names: Sequence[str]) -> float:
    """Mean recall of these classes, a share of one."""
    one = predictions.found[subset]
    return float(np.mean([_recall(one.truth, one.answers, predictions.classes.index(name)) for name in names]))


def ablation_table(found: Mapping[str, Mapping[int, PredictionSet]], subset: str = "av") -> list[str]:
    """UA of the dynamic and of the static classes; paired by seed, each member minus the first in points."""
    kinds = {"dynamic classes": DYNAMIC, "static classes": STATIC, "all": (*DYNAMIC, *STATIC)}
    heading = ["", "seeds", *(text for kind in kinds for text in (f"UA, {kind}", "difference"))]
    rows = []
    first, full = next(iter(found.items()))
    for name, by_seed in found.items():
        cells = []
        for classes in kinds.values():
            scores = {seed: classes_of(one, subset, classes) for seed, one in by_seed.items()}
            cells.append(f"{100 * np.mean(list(scores.values())):.1f}")
            paired = [score - classes_of(full[seed], subset, classes) for seed, score in scores.items() if seed in full]
            cells.append("" if name == first else over_seeds(np.array(paired)))
        rows.append(["as configured" if name == DUAL else name, str(len(by_seed)), *cells])
    return table(heading, rows)


def over_seeds(differences: Array) -> str:
    """Mean of paired differences, shares of one, in points with Student's 95 % interval over the seeds."""
    from dual_hpc.evaluation.comparison.student_t import quantile

    mean = 100 * float(differences.mean())
    if len(differences) < 2:
        return f"{mean:+.1f}"
    half = 100 * quantile(0.95, len(differences) - 1.0) * float(differences.std(ddof=1)) / len(differences) ** 0.5
    return f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]"


def compared(found: Mapping[str, Mapping[int, PredictionSet]], others: Sequence[Model]) -> Comparison:
    """Every model with DUAL, as `dual-hpc compare` does."""
    return compare([*models(found), *others])


def _value(one: Estimate) -> str:
    return f"{100 * one.value:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def _turned_round(one: Estimate, p: float) -> str:
    """DUAL minus the other, where `one` is the other minus DUAL."""
    star = "*" if p < 0.05 else ""
    return f"{-100 * one.value:+.1f}{star} [{-100 * one.high:+.1f}, {-100 * one.low:+.1f}]"


def _recall(truth: Array, answers: Array, number: int) -> float:
    return float((answers[truth == number] == number).mean())
