"""Votes against labels, and dimensions, by the project's own training and evaluation on planted raters.

    nice python -m benchmarks.votes

Each seed has a corpus of its own (`planted.py`). On it three runs are trained, with the protocols' targets `class`,
`soft` and `regression`; they differ in nothing else. Their answers to the test part, as `evaluate` writes them, are
compared with what is planted, and with the raters' votes, whose five draws are away from what is planted themselves.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import RESULTS, row, write
from benchmarks.science.training import finish, import_all, predictions_file
from benchmarks.votes.planted import DIMENSIONS, RATERS, Planted, prepare, protocol
from dual_hpc.config import load_config
from dual_hpc.evaluation.comparison.student_t import quantile
from dual_hpc.evaluation.dimensions import concordance
from dual_hpc.evaluation.metrics import scores
from dual_hpc.evaluation.prediction_file import read_predictions
from dual_hpc.evaluation.votes import js_divergence, kl_divergence

TARGETS = ("class", "soft", "regression")
Scores = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.votes", description=__doc__)
    default = Path(tempfile.gettempdir()) / "dual-hpc-votes"
    parser.add_argument("--work", type=Path, default=default, help="corpora and runs (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--utterances", type=int, default=2000, help="that are drawn to train, and to test")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    sizes = {"train": options.utterances, "dev": options.utterances // 5, "test": options.utterances}
    import_all()
    found: list[dict[str, Scores]] = []
    for seed in range(options.seeds):
        planted = prepare(options.work / f"seed-{seed}", seed, sizes)
        found.append({})
        for target in TARGETS:
            began = time.monotonic()
            found[-1][target] = measured(options.work, planted, target, seed, options.epochs)
            print(f"seed {seed} {target}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    report(found, sizes, options.epochs, options.out)


def measured(work: Path, planted: Planted, target: str, seed: int, epochs: int) -> Scores:
    """Scores of one run on the test part; trained, unless it was."""
    file = work / f"{target}.yaml"
    file.write_text(protocol(target))
    settings = [
        *(f"name={target}-{seed}", f"seed={seed}", f"store={work.absolute()}", f"data.shards=[{planted.shards}]"),
        *(f"data.protocol={file}", "model.family=audio_only", f"training.epochs={epochs}", "launch.ranks_per_node=1"),
        *("data.global_batch=64", "data.micro_batch=64", "data.workers=0", "tracking.enabled=false"),
        *("augment.drop_text=0", f"training.select_by={'ccc' if target == 'regression' else 'ua'}"),
    ]
    predictions = read_predictions(predictions_file(finish(load_config("demo", settings))))
    answers = predictions.found["av"]  # of whom there is sound alone
    if target == "regression":
        assert answers.dimensions is not None
        truth = np.stack([planted.dimensions[key] for key in answers.keys])
        return {
            name: concordance(truth[:, n], answers.dimensions[:, n].astype(np.float64))
            for n, name in enumerate(DIMENSIONS)
        }
    truth = np.stack([planted.distributions[key] for key in answers.keys])
    votes = np.stack([np.asarray(predictions.votes[key]) for key in answers.keys])
    given = answers.probabilities.astype(np.float64)
    return {
        "ua": scores(answers.truth, answers.answers, truth.shape[1]).values["ua"],
        "jsd_planted": float(js_divergence(truth, given).mean()),
        "kld_planted": float(kl_divergence(truth, given).mean()),
        "jsd_votes": float(js_divergence(votes, given).mean()),
        "jsd_votes_planted": planted.floor,
    }


def difference(found: Sequence[Mapping[str, Scores]], score: str) -> Scores:
    """Of the runs on votes from those on labels: mean, 95 % interval over seeds, change of the mean."""
    label, votes = (np.array([one[target][score] for one in found]) for target in ("class", "soft"))
    low, high = interval(votes - label)
    change = float(votes.mean() / label.mean() - 1)
    return {"mean": float((votes - label).mean()), "low": low, "high": high, "change": change}


def mean(found: Sequence[Mapping[str, Scores]], target: str, score: str) -> float:
    """Over the seeds."""
    return float(np.mean([one[target][score] for one in found]))


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean, by Student's t."""
    half = quantile(0.95, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def report(found: list[dict[str, Scores]], sizes: Mapping[str, int], epochs: int, out: Path) -> None:
    """The table, and what it says in words."""
    cases = {
        "jsd_planted": ("JSD to the planted distribution", "bits"),
        "kld_planted": ("KLD from the planted distribution", "nats"),
        "jsd_votes": (f"JSD to the votes of {RATERS} raters", "bits"),
    }
    changes = {score: difference(found, score) for score in ("ua", *cases)}
    soft, hard = ({score: mean(found, target, score) for score in changes} for target in ("soft", "class"))
    rows = [
        row(name, soft[score], hard[score], "trained on labels", unit, smaller_is_better=True)
        for score, (name, unit) in cases.items()
    ]
    rows.append(row("UA", 100 * soft["ua"], 100 * hard["ua"], "trained on labels", "%"))
    ccc = {name: np.array([one["regression"][name] for one in found]) for name in DIMENSIONS}
    rows += [row(f"CCC of {name}", float(values.mean()), 0.8, "what is asked for", "") for name, values in ccc.items()]
    floor, ua = mean(found, "soft", "jsd_votes_planted"), changes["ua"]
    told = [
        f"{len(found)} seeds, each with a corpus of its own: {sizes['train']} utterances drawn to train and "
        f"{sizes['test']} to test, those without a majority left out, {epochs} epochs. Differences, votes less labels, "
        "with 95 % intervals over seeds:",
        *(
            f"{name} {100 * one['change']:+.0f} % ({one['mean']:+.4f}, {one['low']:+.4f} to {one['high']:+.4f});"
            for name, one in ((cases[score][0], changes[score]) for score in cases)
        ),
        f"UA {100 * ua['mean']:+.2f} points ({100 * ua['low']:+.2f} to {100 * ua['high']:+.2f}).",
        f"The votes of {RATERS} raters are {floor:.4f} bits of JSD away from what is planted, below which no "
        "answer comes by much. CCC is against the planted values; the lowest of all seeds and dimensions is "
        f"{min(float(values.min()) for values in ccc.values()):.3f}.",
    ]
    path = write("votes", rows, " ".join(told), out, seeds=found, differences=changes)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
