"""An evaluation as files: JSON with every number, Markdown to read, figures of confusion and reliability."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dual_hpc.evaluation.figures import confusion_figure
from dual_hpc.evaluation.metrics import HEADLINE, METRICS, Scores
from dual_hpc.evaluation.reliability import reliability_figure
from dual_hpc.evaluation.report_sections import calibration_table, dimension_table, group_tables, vote_table
from dual_hpc.evaluation.result import EvaluationResult, SubsetResult
from dual_hpc.evaluation.tables import percent, subset_name, table
from dual_hpc.files.atomic import write_atomically
from dual_hpc.modality import ALL_MODALITIES, Modality
from dual_hpc.picture import png
from dual_hpc.printable import markdown_cell

_FEW = 10  # dialogues, or utterances of a speaker, below which a number promises too much


def write_report(folder: Path, name: str, result: EvaluationResult) -> list[Path]:
    """Write NAME.json, NAME.md and NAME.png into `folder`; each appears complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(result.to_json(), ensure_ascii=False, indent=2) + "\n"
    write_atomically(folder / f"{name}.json", content)
    write_atomically(folder / f"{name}.md", markdown(result))
    picture = folder / f"{name}.png"
    matrices = {result.shown(key): one.scores for key, one in result.rows.items()}
    write_atomically(picture, png(confusion_figure(matrices, result.classes)))
    written = [folder / f"{name}.json", folder / f"{name}.md", picture]
    if result.predictions is not None:
        shown = {result.shown(key): result.predictions.found[key] for key in result.rows}
        write_atomically(folder / f"{name}_reliability.png", png(reliability_figure(shown)))
        written.append(folder / f"{name}_reliability.png")
    return written


def markdown(result: EvaluationResult) -> str:
    """The report to read; scores in percent."""
    about = ", ".join(
        f"{key} {markdown_cell(value)}"
        for key, value in result.about.items()
        if value is not None and key not in ("reads", "present", "selection")
    )
    if len(result.classes) == 1:  # nothing to be told apart: dimensions are learned alone
        counted = [f"{result.about['count']} utterances in {result.about['dialogues']} dialogues.", ""]
        return "\n".join(["# Evaluation", "", about, "", *counted, *dimension_table(result)])
    return "\n".join(
        [
            "# Evaluation",
            "",
            _headline(result),
            "",
            about,
            "",
            *_main_table(result),
            "",
            *_notes(result),
            *_control_table(result),
            *_style_table(result),
            *group_tables(result),
            *_speaker_table(result),
            *calibration_table(result),
            *vote_table(result),
            *dimension_table(result),
            "## F1 per class",
            "",
            *_class_table(result),
            "",
        ]
    )


def _headline(result: EvaluationResult) -> str:
    """The result in one line: all that MLflow shows of a description before one asks for more."""
    metric, about = METRICS.get(HEADLINE), result.about
    found = [(metric.format(one.scores.values.get(HEADLINE)), result.shown(key)) for key, one in result.rows.items()]
    scores = ", ".join(f"{value} with {subset}" for value, subset in found)
    where = [*([str(about["protocol"])] if about.get("protocol") else [])]
    where += [f"{key} {about[key]}" for key in ("test_fold", "split") if about.get(key) is not None]
    of = f" of {markdown_cell(', '.join(where))}" if where else ""
    return f"**{metric.title} {scores}**: {about['count']} utterances{of}."


def _main_table(result: EvaluationResult) -> list[str]:
    rows = [[name, *_cells(row)] for name, row in result.baselines.items()]
    for subset, one in result.rows.items():
        rows.append([result.shown(subset), *(_with_interval(name, one) for name in METRICS)])
    return table(["", *_headings()], rows)


def _with_interval(name: str, one: SubsetResult) -> str:
    if name not in one.scores.values:
        return ""
    metric = METRICS.get(name)
    return f"**{metric.format(one.scores.values[name])}** [{', '.join(map(metric.format, one.interval[name]))}]"


def _headings() -> list[str]:
    return [METRICS.get(name).title for name in METRICS]


def _cells(values: Mapping[str, float]) -> list[str]:
    """One per metric, as it is shown; empty where there is no value."""
    return [METRICS.get(name).format(values.get(name)) for name in METRICS]


def _notes(result: EvaluationResult) -> list[str]:
    lines = ["Brackets: 95 % bootstrap interval, dialogues drawn with replacement.", ""]
    if result.about["dialogues"] < _FEW:
        count = "one dialogue" if result.about["dialogues"] == 1 else f"{result.about['dialogues']} dialogues"
        lines += [f"With {count} these intervals are too narrow to rely on.", ""]
    if told := result.about.get("selection"):
        lines += [f"These weights: {markdown_cell(told)}.", ""]
    if unread := [m.letter for m in Modality if m.letter not in result.about.get("reads", ALL_MODALITIES)]:
        lines += [f"This model was made without {subset_name(''.join(unread))}.", ""]
    if lacking := [modality for modality in Modality if modality.letter not in result.present]:
        lines += [f"No utterance has {' or '.join(lacking)}.", ""]
    if result.absent:
        names = ", ".join(markdown_cell(result.classes[c]) for c in result.absent)
        lines += [f"**No utterance** of: {names}. UA is the mean over the other classes.", ""]
    if result.text_reliance is not None:
        metrics = {key: METRICS.get(key) for key in result.text_reliance}
        gains = ", ".join(f"{m.title} {m.factor * result.text_reliance[key]:+.1f}" for key, m in metrics.items())
        lines += [f"Text adds, {{A,V,T}} minus {{A,V}} from the same weights, in points: {gains}.", ""]
    if (found := result.reliance) is not None and "t" in result.used:
        bounds = ", ".join(map(percent, found.interval))
        lines += [
            f"**Text reliance {percent(found.value)} %** [{bounds}]: half of the {percent(found.lost)} % of UA that is "
            f"lost without text, and half of the {percent(found.turned)} % of the answers that misleading text turns.",
            "",
        ]
    for subset, one in result.rows.items():
        if one.scores.never_predicted:
            names = ", ".join(markdown_cell(result.classes[c]) for c in one.scores.never_predicted)
            lines += [f"**Never predicted** with {result.shown(subset)}: {names}.", ""]
    return lines


def _control_table(result: EvaluationResult) -> list[str]:
    rows = [
        [
            f"{result.shown(one.shown)}, {name}",
            str(one.scores.count),
            *_cells(one.scores.values),
            percent(one.flips),
        ]
        for name, one in result.controls.items()
    ]
    if not rows:
        return []
    heading = ["", "utterances", *_headings(), "answers changed"]
    about = "Mismatched: taken from the next utterance of the batch that has another label."
    return ["## Controls", "", about, "", *table(heading, rows), ""]


def _style_table(result: EvaluationResult) -> list[str]:
    rows = [
        [f"{result.shown(subset)} {style}", str(found.count), *_cells(found.values)]
        for subset, one in result.rows.items()
        for style, found in one.styles.items()
    ]
    if not rows:
        return []
    heading = ["", "utterances", *_headings()]
    return ["## Scripted and improvised", "", *table(heading, rows), ""]


def _speaker_table(result: EvaluationResult) -> list[str]:
    heard = next(iter(result.subsets.values())).speakers
    if len(heard) == 1:
        return ["## Speakers", "", f"Everything is said by one speaker, {markdown_cell(next(iter(heard)))}.", ""]
    often = sorted(name for name, found in heard.items() if found.count >= _FEW)
    metric = METRICS.get(HEADLINE)

    def headline(found: Scores) -> str:
        return metric.format(found.values[HEADLINE])

    lines = ["## Speakers", "", f"{metric.title} over the classes that the speaker shows.", ""]
    if often:
        rows = [
            [
                name,
                str(heard[name].count),
                *(headline(one.speakers[name]) for one in result.rows.values()),
            ]
            for name in often
        ]
        lines += [*table(["speaker", "utterances", *map(result.shown, result.rows)], rows), ""]
    if len(often) > 1:
        for subset, one in result.rows.items():
            worst = min(often, key=lambda name: metric.oriented(one.speakers[name].values[HEADLINE]))
            value = headline(one.speakers[worst])
            lines += [
                f"**Worst speaker** with {result.shown(subset)}: {markdown_cell(worst)}, {metric.title} {value}.",
                "",
            ]
    if rare := len(heard) - len(often):
        lines += [f"Speakers with fewer than {_FEW} utterances, {rare} of {len(heard)}, are in the JSON only.", ""]
    return lines


def _class_table(result: EvaluationResult) -> list[str]:
    first = next(iter(result.subsets.values())).scores
    rows = [
        [name, str(first.support[c]), *(percent(one.scores.f1[c]) for one in result.rows.values())]
        for c, name in enumerate(result.classes)
    ]
    return table(["class", "utterances", *map(result.shown, result.rows)], rows)
