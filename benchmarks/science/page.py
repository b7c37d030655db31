"""`results/science.md` and `.json`: what was planted, what was trained, and the tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import record
from benchmarks.science import tables
from benchmarks.science.corpus import Corpus
from benchmarks.science.members import DUAL, Member, alone, dropped, families, switches, variants
from dual_hpc.config.paths import runs_dir
from dual_hpc.evaluation.comparison.models import Model, model_of
from dual_hpc.evaluation.prediction_file import read_predictions
from dual_hpc.files.atomic import write_atomically
from shards.synthetic import Dials


class Seeds(NamedTuple):
    """Which seeds are shown."""

    of_parts: Sequence[int]
    of_families: Sequence[int]


def write(store: Path, seeds: Seeds, dials: Dials, corpus: Corpus, epochs: int) -> Path:
    """The page of what has finished in `store`; returns its path."""
    runs = runs_dir(store)
    found = tables.finished(families(), seeds.of_families, runs)
    lines = ["# Science", "", _made(), "", *_planted(dials, corpus, epochs), ""]
    content: dict[str, object] = {"command": _command(), "commit": record.commit(), "dials": str(dials)}
    if len(found.get(DUAL, {})) and len(found) > 1:
        comparison = tables.compared(found, [_svm(store)])
        lines += ["## Families", "", *_progress(found, families(), seeds.of_families)]
        lines += [*tables.families_table(comparison), ""]
        lines += ["By 95 % intervals, without correction:", "", *tables.verdicts(comparison), ""]
        content["families"] = comparison.to_json()
    dual = {seed: one for seed, one in found.get(DUAL, {}).items() if seed in seeds.of_parts}
    parts = tables.finished(switches(), seeds.of_parts, runs)
    if parts and dual:
        ablation = {DUAL: dual, **parts}
        lines += ["## Parts of DUAL, with audio and video", "", *_progress(parts, switches(), seeds.of_parts)]
        lines += [*tables.ablation_table(ablation), ""]
        content["ablation"] = tables.compared(ablation, []).to_json()
    single = tables.finished(alone(), seeds.of_parts, runs)
    if len(single) == len(alone()):
        lines += [
            "## Each differential module where its modality is alone",
            "",
            *_progress(single, alone(), seeds.of_parts),
        ]
        names = list(single)
        for pair in zip(names[::2], names[1::2], strict=True):
            lines += [*tables.ablation_table({name: single[name] for name in pair}), ""]
    fewer = tables.finished(dropped(), seeds.of_parts, runs)
    if len(fewer) > 1:
        comparison = tables.compared(fewer, [])
        lines += ["## Families, with text dropped in 80 % of the samples", ""]
        lines += _progress(fewer, dropped(), seeds.of_parts)
        lines += [*tables.families_table(comparison), "", *tables.verdicts(comparison), ""]
        content["dropped"] = comparison.to_json()
    others = tables.finished(variants(), seeds.of_parts, runs)
    if others and dual:
        comparison = tables.compared({DUAL: dual, **others}, [])
        lines += ["## DUAL trained otherwise", "", *_progress(others, variants(), seeds.of_parts)]
        lines += [*tables.families_table(comparison), ""]
        content["variants"] = comparison.to_json()
    path = record.RESULTS / "science.md"
    write_atomically(path.with_suffix(".json"), json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    write_atomically(path, "\n".join(lines))
    return path


def _made() -> str:
    return f"{record.machine()}; `{_command()}`; commit {record.commit()}."


def _command() -> str:
    """As it was called, without the folder of this machine."""
    words = ["python", "-m", "benchmarks.science", *sys.argv[1:]]
    return " ".join(
        word for before, word in zip(["", *words], words, strict=False) if "--work" not in (before, word.split("=")[0])
    )


def _planted(dials: Dials, corpus: Corpus, epochs: int) -> list[str]:
    sizes = ", ".join(f"{count} {name}" for name, count in corpus.sizes.items())
    told = 100 * (dials.text_knows + (1 - dials.text_knows - dials.text_lies) / 4)
    return [
        f"Synthetic IEMOCAP, four classes, {sizes} utterances (session 5: two speakers that were not trained on, "
        f"{corpus.dialogues} dialogues). Dials: {dials}. Who reads nothing but the words can be right in "
        f"{told:.0f} % at most, chance is 25 %; angry and happy differ in movement alone, neutral and sad in level.",
        "",
        f"The preset `demo` with `augment.drop_text=0.3` and {epochs} epochs, on features of fixed encoders: mel "
        "bands, coarse grey pictures, random word vectors. Every family has about as many parameters above them as "
        "DUAL. The checkpoint is the best on validation by UA without text (`text_only`: with all that it reads). "
        "`svm_mfcc` is the classical baseline, on the sound of the same split. A seed changes the initial weights, the "
        "order, and what is dropped in training.",
        "",
        "Percent, with 95 % intervals over dialogues and seeds; * p < 0.05 after Holm's correction over the models.",
    ]


def _progress(found: Mapping[str, Mapping[int, object]], planned: Sequence[Member], seeds: Sequence[int]) -> list[str]:
    done, whole = sum(map(len, found.values())), len(planned) * len(seeds)
    return [] if done == whole else [f"**Not finished**: {done} of {whole} runs.", ""]


def _svm(store: Path) -> Model:
    predictions = read_predictions(store / "svm" / "test_best_predictions.jsonl")
    return model_of(str(predictions.about["run"]), [predictions])
