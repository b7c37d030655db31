"""A comparison as files: Markdown and LaTeX to read, CSV and JSON with every number, and the figures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from dual_hpc.evaluation.comparison.comparison import Comparison
from dual_hpc.evaluation.comparison.figure import comparison_figure, missing_text_figure
from dual_hpc.evaluation.comparison.latex import latex_tables
from dual_hpc.evaluation.comparison.page import notes, sections
from dual_hpc.evaluation.comparison.robustness import robustness_figure
from dual_hpc.evaluation.tables import table
from dual_hpc.files.atomic import write_atomically
from dual_hpc.picture import pdf, png
from dual_hpc.printable import markdown_cell

_COLUMNS = "model,measure,kind,subset,value,low,high,difference,difference_low,difference_high,p,p_holm,effect_size"


def write_comparison(folder: Path, comparison: Comparison, name: str = "comparison") -> list[Path]:
    """Write NAME.md, .tex, .csv, .json, NAME.png and .pdf, NAME_missing_text.png and .pdf, and NAME_robustness.png and
    .pdf where every model was evaluated with the suite; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figure, missing = comparison_figure(comparison), missing_text_figure(comparison.models)
    contents: dict[str, str | bytes] = {
        f"{name}.md": markdown(comparison),
        f"{name}.tex": latex_tables(sections(comparison), notes(comparison), name),
        f"{name}.csv": csv_text(comparison),
        f"{name}.json": json.dumps(comparison.to_json(), ensure_ascii=False, indent=2) + "\n",
        f"{name}.png": png(figure),
        f"{name}.pdf": pdf(figure),
    }
    if missing is not None:
        contents |= {f"{name}_missing_text.png": png(missing), f"{name}_missing_text.pdf": pdf(missing)}
    if (curves := robustness_figure(comparison.models)) is not None:
        contents |= {f"{name}_robustness.png": png(curves), f"{name}_robustness.pdf": pdf(curves)}
    for file, content in contents.items():
        write_atomically(folder / file, content)
    return [folder / file for file in contents]


def markdown(comparison: Comparison) -> str:
    """The page to read."""
    lines = ["# Comparison", ""]
    for note in notes(comparison):
        lines += [markdown_cell(note).replace("*", "\\*"), ""]
    for section in sections(comparison):
        lines += [f"## {markdown_cell(section.title)}", "", *table(section.headings, section.rows), ""]
    return "\n".join(lines)


def csv_text(comparison: Comparison) -> str:
    """One line per model and measure; shares of one, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS.split(","))
    for model in comparison.to_json()["models"]:
        for one in model["measures"]:
            none = ("", "")
            numbers = [one["value"], *(one["interval"] or none), one.get("difference", "")]
            numbers += one.get("difference_interval") or none
            tests = [one.get("p", ""), one.get("p_holm", ""), one.get("effect_size", "")]
            writer.writerow([model["name"], one["name"], one["kind"], one["subset"] or "", *numbers, *tests])
    return out.getvalue()
