"""Presets from scratch on real recordings of speech, beside MFCC statistics and an SVM on the same splits.

    python -m benchmarks.scratch --wavs FOLDER --corpus emodb [--seeds 5] [--presets scratch own]

packs the sound, divides the speakers into as many parts as there are seeds, and with each seed holds another part out:
trains by the command that a user gives, evaluates, and runs the SVM. Stopped and started again it goes on.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import dual_hpc
from benchmarks import record
from dual_hpc.config.schema import RunConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.evaluation.classical.run import evaluate_classical
from dual_hpc.evaluation.comparison.student_t import quantile
from dual_hpc.evaluation.result import EvaluationResult
from dual_hpc.evaluation.tables import table

SVM = "MFCC + SVM"


@dataclass(frozen=True)
class Score:
    """UA in percent on the speakers that a seed holds out: of the best weights by validation, and of the last.

    Attributes:
        seconds, processor_seconds: of the training, start and validation included.
    """

    best: float
    last: float
    seconds: float = 0.0
    processor_seconds: float = 0.0


def main() -> None:
    options = arguments().parse_args()
    work = options.work.absolute() / (options.name or options.corpus)
    shards = work / "shards"
    if not (shards / "index.json").exists():
        dual_hpc.pack(options.corpus, options.wavs, shards, workers=2)
    found: dict[str, list[Score]] = {}
    for seed in range(options.seeds):
        for preset in options.presets:
            config = configured(preset, seed, options.seeds, work, shards, options.set)
            found.setdefault(preset, []).append(trained(config))
            print(f"{preset}, seed {seed}: {found[preset][-1]}", file=sys.stderr, flush=True)
        classical = evaluate_classical(config.data, "mfcc", progress=False)
        found.setdefault(SVM, []).append(Score(ua(classical), ua(classical)))
    name = options.name or options.corpus
    print(save(name, section(options, shards, found), found).read_text(encoding="utf-8"))


def configured(
    preset: str, seed: int, seeds: int, store: Path, shards: Path, settings: Sequence[str] = ()
) -> RunConfig:
    """One run: the preset on sound alone, another part of the speakers held out with each seed."""
    made = [f"name={preset}-{seed}", f"seed={seed}", f"store={store}", "tracking.enabled=false"]
    data = [f"data.shards=[{shards}]", f"data.split={{speaker: {seeds}}}", f"data.test_fold={seed + 1}"]
    return dual_hpc.load_config(preset, [*made, *data, "model.use_video=false", "model.use_text=false", *settings])


def trained(config: RunConfig) -> Score:
    """Train and evaluate a run, or read what was found before."""
    note = Path(config.store) / f"{config.name}.json"
    if not note.exists():
        began, before = time.monotonic(), _processor_seconds()
        run = dual_hpc.train(config)
        took, used = time.monotonic() - began, _processor_seconds() - before
        best, last = (ua(dual_hpc.evaluate(run, checkpoint=name)) for name in ("best", "last"))
        score = Score(best, last, took, used)
        note.write_text(json.dumps(asdict(score)) + "\n", encoding="utf-8")
    return Score(**json.loads(note.read_text(encoding="utf-8")))


def ua(result: EvaluationResult) -> float:
    """UA in percent."""
    return 100 * result.subsets["av"].scores.values["ua"]


def interval(values: Sequence[float]) -> str:
    """Mean with the 95 % interval of Student's t over the seeds."""
    if len(values) < 2:
        return f"{np.mean(values):.1f}"
    half = quantile(0.95, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.1f} [{np.mean(values) - half:.1f}, {np.mean(values) + half:.1f}]"


def rows(found: dict[str, list[Score]]) -> list[list[str]]:
    """A row for each preset, and the SVM's."""
    svm = [score.best for score in found[SVM]]
    lines = []
    for name, scores in found.items():
        best, last = [score.best for score in scores], [score.last for score in scores]
        gains = [mine - theirs for mine, theirs in zip(best, svm, strict=True)]
        each = " ".join(f"{one:.1f}" for one in best)
        minutes = [f"{np.mean([getattr(s, key) for s in scores]) / 60:.1f}" for key in ("seconds", "processor_seconds")]
        net = name != SVM
        lines.append(
            [name, interval(best), each, interval(last) if net else "", interval(gains) if net else ""]
            + (minutes if net else ["", ""])
        )
    return lines


def section(options: argparse.Namespace, shards: Path, found: dict[str, list[Score]]) -> list[str]:
    """What the page says of a corpus."""
    utterances = ShardDataset([shards]).utterances
    speakers, classes = ({getattr(one, name) for one in utterances} for name in ("speaker", "label"))
    heading = [
        *("", "UA %, best on validation", "each seed", "last weights", "best - SVM, points"),
        *("minutes a seed", "processor minutes a seed"),
    ]
    presets = " ".join(["--presets", *options.presets, *(["--set", *options.set] if options.set else [])])
    words = f"python -m benchmarks.scratch --wavs FOLDER --corpus {options.corpus} --seeds {options.seeds} {presets}"
    return [
        f"{record.machine()}; `{words}`; commit {record.commit()}.",
        "",
        f"{len(utterances)} utterances of {len(speakers)} speakers, {sum(one.duration for one in utterances) / 60:.0f} "
        f"minutes, {len(classes)} classes (chance {100 / len(classes):.1f}); one of {options.seeds} parts of the "
        "speakers held out, another one with each seed, and others for validation. 95 % intervals over seeds.",
        "",
        *table(heading, rows(found)),
    ]


def save(corpus: str, text: list[str], found: dict[str, list[Score]]) -> Path:
    """Put a corpus's section into `results/scratch.md`, in place of an earlier one; returns the page."""
    path = record.RESULTS / "scratch.json"
    sections = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    sections[corpus] = {"text": text, "scores": {name: [asdict(one) for one in each] for name, each in found.items()}}
    path.write_text(json.dumps(sections, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = ["# From scratch on real speech", ""]
    for name, content in sections.items():
        page += [f"## {name}", "", *content["text"], ""]
    path.with_suffix(".md").write_text("\n".join(page), encoding="utf-8")
    return path.with_suffix(".md")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scratch", description=__doc__)
    default = Path(tempfile.gettempdir()) / "dual-hpc-scratch"
    parser.add_argument("--wavs", type=Path, required=True, help="the corpus, or the CSV file of a manifest")
    parser.add_argument("--corpus", required=True, help="a reader of `dual-hpc pack`, or manifest")
    parser.add_argument("--name", help="of the section of the results (default: the corpus)")
    parser.add_argument("--seeds", type=int, default=5, help="and parts of the speakers (default %(default)s)")
    parser.add_argument("--presets", nargs="+", default=["scratch"])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings for all of them")
    parser.add_argument("--work", type=Path, default=default, help="shards and runs (default %(default)s)")
    return parser


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
