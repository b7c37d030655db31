"""The folder of `dual-hpc paper`: tables, figures, configurations, facts, and the page that says how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dual_hpc
from dual_hpc.evaluation.comparison.comparison import Comparison
from dual_hpc.evaluation.comparison.files import write_comparison
from dual_hpc.evaluation.comparison.latex import document
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import read_bytes
from launch.sweeps.grid import SweepDir
from launch.sweeps.paper_recipe import BASE, RECIPE, base_text, cost_of, environment, not_from_base, recipe

TABLES, FIGURES, FACTS = "tables", "figures", "facts.json"


def write_kit(folder: Path, sweep: SweepDir, comparison: Comparison) -> list[Path]:
    """Write the kit of an evaluated sweep; returns its files.

    Raises:
        UserError: a member's files cannot be read.
    """
    for part in (TABLES, FIGURES, "config"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    figures = [path for path in write_comparison(folder / TABLES, comparison) if path.suffix in (".png", ".pdf")]
    for path in figures:
        path.replace(folder / FIGURES / path.name)
    drawn = [path.name for path in figures if path.suffix == ".pdf"]
    write_atomically(folder / "paper.tex", document(_body(drawn)))
    for run in sweep.runs():
        write_atomically(folder / "config" / f"{run.path.name}.yaml", read_bytes(run.config_file))
    write_atomically(folder / BASE, base_text(sweep))
    facts = facts_of(sweep, comparison, folder / BASE)
    write_atomically(folder / FACTS, json.dumps(facts, ensure_ascii=False, indent=2) + "\n")
    names = [model.name for model in comparison.models]
    write_atomically(folder / RECIPE, recipe(sweep, facts, names, names[0]))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def facts_of(sweep: SweepDir, comparison: Comparison, base: Path) -> dict[str, Any]:
    """Data, code, environment and cost, as plain data."""
    runs = sweep.runs()
    about = [one.about for model in comparison.models for one in model.trainings.values()]
    cost = cost_of(runs)
    return {
        "sweep": sweep.sweep.name,
        "dual_hpc": dual_hpc.__version__,
        "code_versions": _distinct(run.identity().code_version for run in runs),
        "plugins": {name: digest for run in runs for name, digest in run.identity().plugins.items()},
        "datasets": _distinct(str(one.get("dataset")) for one in about),
        "protocol": comparison.models[0].first.about.get("protocol"),
        "selection": _distinct(str(one["selection"]) for one in about if one.get("selection")),
        "models": {model.name: {"seeds": model.seeds, "folds": model.folds} for model in comparison.models},
        "members": {member.name: member.overrides for member in sweep.sweep.members},
        "not_from_base": not_from_base(sweep, base),
        "hours": cost.hours,
        "used": {"unit": cost.used.unit, "held": cost.used.held, "hours": cost.used.hours},
        "environment": environment(),
    }


def _body(figures: Sequence[str]) -> str:
    r"""Tables and figures, by \input and \includegraphics."""
    lines = [rf"\input{{{TABLES}/comparison}}"]
    for name in figures:
        path = f"{FIGURES}/{name}"
        lines += [r"\begin{figure}", r"\centering", rf"\includegraphics[width=\linewidth]{{{path}}}", r"\end{figure}"]
    return "\n".join(lines) + "\n"


def _distinct(values: Sequence[str] | Any) -> list[str]:
    return list(dict.fromkeys(values))
