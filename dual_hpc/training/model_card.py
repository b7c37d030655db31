"""The card of an exported model, `README.md`: what whoever is given it must know. Pure: facts in, text out.

What only the owner can say (licence, citation, what the model is meant for) is left open in so many words. The card is
in no manifest, so that writing it damages nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dual_hpc.evaluation.metrics import METRICS
from dual_hpc.evaluation.tables import percent, seen_letters, table, told_apart
from dual_hpc.modality import Modality, parse_subset
from dual_hpc.printable import markdown_cell

OPEN = "**Not filled in. The owner of the model writes here:**"


@dataclass(frozen=True)
class CardFacts:
    """What a card is made of.

    Attributes:
        name: of the run.
        description: the model's `config.json`.
        labels: the classes, in their order.
        parameters: how many numbers it has.
        step: of the training, whose weights these are.
        settings: name -> value, what its training was told of data and protocol.
        reports: JSON of the evaluations of just these weights (`EvaluationResult.to_json`).
        version: of this package, and of the code that trained.
    """

    name: str
    description: Mapping[str, Any]
    labels: Sequence[str]
    modalities: str
    parameters: int
    step: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    reports: Sequence[Mapping[str, Any]] = ()
    version: str = ""


def model_card(facts: CardFacts) -> str:
    """The text of `README.md`."""
    sections = {
        "What it does": _purpose(facts),
        "Use": _use(facts),
        "Data and protocol": _data(facts),
        "Scores": _scores(facts),
        "Text reliance": _reliance(facts),
        "Limits": _limits(facts),
        "Licence": [f"{OPEN} under which terms the weights may be used, and which the corpora allow."],
        "Citation": [f"{OPEN} how to cite the model. The corpora and pretrained encoders have citations of their own."],
    }
    lines = ["---", "library_name: dual-hpc", "tags: [emotion-recognition, multimodal]", "---"]
    lines += [f"# {markdown_cell(facts.name)}", ""]
    for title, text in sections.items():
        lines += [f"## {title}", "", *text, ""]
    return "\n".join(lines)


def _purpose(facts: CardFacts) -> list[str]:
    reads = " and ".join(", ".join(parse_subset(facts.modalities)).rsplit(", ", 1))
    encoders = [f"{name} {facts.description[name]['kind']}" for name in map(str, parse_subset(facts.modalities))]
    return [
        f"It gives each utterance a probability for each of {len(facts.labels)} classes "
        f"({', '.join(map(markdown_cell, facts.labels))}), from {reads}; what a clip lacks is done without.",
        "",
        f"Family `{facts.description.get('model_type')}`, {facts.parameters:,} parameters; encoders: "
        f"{', '.join(encoders)}. Weights of step {facts.step:,} of the run. Made by dual_hpc {facts.version}.",
    ]


def _use(facts: CardFacts) -> list[str]:
    clip = '"clip.mp4"' if Modality.VIDEO.letter in facts.modalities else '"clip.wav"'
    text = ', text="I am fine."' if Modality.TEXT.letter in facts.modalities else ""
    return [
        "    from dual_hpc import Predictor",
        f'    print(Predictor.from_pretrained("this folder").predict({clip}{text}))',
        "",
        'or `dual-hpc predict --model "this folder" --input clip.mp4`. After `import dual_hpc`, '
        '`transformers.AutoModel.from_pretrained("this folder")` reads it as well; no code comes with it.',
        *(
            ["", "It was trained on features: `encoders/`, or the encoders that `config.json` names, come before it."]
            if facts.description.get("feature_encoders")
            else []
        ),
    ]


def _data(facts: CardFacts) -> list[str]:
    counts = facts.description.get("class_counts")
    rows = [[key, _shown(value)] for key, value in facts.settings.items() if value not in (None, "", [], {})]
    # What both name, such as the length, the model's own preprocessing decides: it comes last.
    prepared = {**(facts.description.get("preparation") or {}), **facts.description.get("preprocessing", {})}
    rows += [[f"clips: {key}", _shown(value)] for key, value in prepared.items() if value not in ((), [], None)]
    if counts:
        per_class = zip(facts.labels, counts, strict=False)
        rows.append(["utterances trained on", ", ".join(f"{label} {count:,}" for label, count in per_class)])
    return table(["setting", "value"], rows)


def _scores(facts: CardFacts) -> list[str]:
    if not facts.reports:
        return ["No evaluation of these weights was there when they were exported: run `dual-hpc evaluate`."]
    rows, notes = [], []
    for report in facts.reports:
        about = report["about"]
        for subset, name_of in told_apart(report["subsets"], seen_letters(about)).items():
            cells = [_with_interval(name, report["subsets"][subset]) for name in METRICS]
            rows.append([f"{about.get('split')} {name_of}", str(about.get("count", "")), *cells])
        notes += [f"{about.get('split')}: {markdown_cell(told)}." for told in [about.get("selection")] if told]
    heading = ["", "utterances", *(METRICS.get(name).title for name in METRICS)]
    brackets = "Brackets: 95 % bootstrap interval, dialogues drawn with replacement. One training, one seed."
    return [*table(heading, rows), "", brackets, *(line for note in dict.fromkeys(notes) for line in ("", note))]


def _with_interval(name: str, one: Mapping[str, Any]) -> str:
    if one.get(name) is None:
        return ""
    metric, bounds = METRICS.get(name), one.get("interval", {}).get(name)
    shown = metric.format(one[name])
    return shown if bounds is None else f"{shown} [{', '.join(map(metric.format, bounds))}]"


def _reliance(facts: CardFacts) -> list[str]:
    if Modality.TEXT.letter not in facts.modalities:
        return ["None: the model reads no text."]
    for report in facts.reports:
        if found := report.get("reliance"):
            low, high = map(percent, found["interval"])
            return [
                f"{percent(found['value'])} % [{low}, {high}] on the {report['about'].get('split')} split: half of the "
                f"{percent(found['lost'])} % of UA that is lost without text, and half of the "
                f"{percent(found['turned'])} % of the answers that misleading text turns."
            ]
    return ["Not known: no evaluation of these weights with and without text was there when they were exported."]


def _limits(facts: CardFacts) -> list[str]:
    prepared = facts.description.get("preprocessing", {})
    reads_text = Modality.TEXT.letter in facts.modalities
    words = f", and {prepared.get('max_tokens', 0)} tokens of its text" if reads_text else ""
    lines = [
        f"It knows these {len(facts.labels)} classes and no others; every clip gets one of them.",
        f"Only the first {prepared.get('max_seconds', 0):g} seconds of a clip are used{words}.",
        "It learnt how raters named what people of its corpora showed. What a person feels is something else, and "
        "other languages, cultures, ages and recordings were not measured unless the scores above name them.",
        "Its probabilities are as the training left them. `confidence.json`, where it is there, has a temperature "
        "fitted on the validation split, and `predict --unsure RISK` uses it.",
    ]
    for report in facts.reports:
        for subset, name_of in told_apart(report["subsets"], seen_letters(report["about"])).items():
            one = report["subsets"][subset]
            missing = [name for name in one.get("per_class", {}) if _never(one, name, facts.labels)]
            if missing:
                names, where = ", ".join(map(markdown_cell, missing)), report["about"].get("split")
                lines.append(f"On the {where} split it never answered with {names} ({name_of}).")
    return [f"- {line}" for line in lines]


def _never(one: Mapping[str, Any], label: str, labels: Sequence[str]) -> bool:
    """Whether no answer was this class: its column of the confusion matrix is empty."""
    confusion: list[list[int]] = one.get("confusion") or []
    return bool(confusion) and label in labels and not sum(row[list(labels).index(label)] for row in confusion)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
