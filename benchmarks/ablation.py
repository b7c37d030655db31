"""What the differential modules are worth: DUAL with SDM and VDM against DUAL without, on synthetic IEMOCAP.

`python -m benchmarks.ablation [--seeds N] [--utterances N]` trains both on the same shards with the same seeds and
compares recall on the classes that differ only in dynamics (angry, happy) and on those that differ in level
(neutral, sad), with audio and video only, on the held-out session. The seed changes the initial weights and the order.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from benchmarks import record
from launch.cli.main import main as dual_hpc

DYNAMIC, STATIC = ("angry", "happy"), ("neutral", "sad")
VARIANTS = {"with": [], "without": ["model.use_sdm=false", "model.use_vdm=false"]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--utterances", type=int, default=240)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ablation-") as folder:
        store = Path(folder)
        shards = store / "shards"
        call("synth", "iemocap", "--out", store / "raw", "--utterances", options.utterances)
        call("pack", "iemocap", store / "raw", "--out", shards, "--video-size", 96, "--workers", 2)
        epochs = f"training.epochs={options.epochs}"
        scores = {
            variant: [
                train(store, shards, f"{variant}-{seed}", [f"seed={seed}", epochs, *switches])
                for seed in range(options.seeds)
            ]
            for variant, switches in VARIANTS.items()
        }
    rows = []
    for case in ("UA of the dynamic classes", "UA of the static classes", "UA of all classes"):
        ours, peer = ([score[case] for score in scores[variant]] for variant in ("with", "without"))
        spread = f" (deviation {pstdev(ours):.1f} and {pstdev(peer):.1f})"
        rows.append(record.row(case + spread, mean(ours), mean(peer), "without SDM and VDM", "points, {A,V}"))
    note = (
        f"{options.seeds} seeds, {options.utterances} synthetic utterances, session 5 held out; mean over seeds of the "
        "best-on-validation checkpoint. The signal is synthetic: it shows that the modules work, not what people gain."
    )
    print(record.write("ablation", rows, note, scores=scores).with_suffix(".md").read_text())


def train(store: Path, shards: Path, name: str, overrides: list[str]) -> dict[str, float]:
    """UA in points on the held-out session, by kind of class."""
    settings = ["launch.ranks_per_node=1", "tracking.enabled=false", f"store={store}", f"name={name}"]
    call("train", "--preset", "demo", "--shards", shards, *settings, *overrides)
    run = store / "runs" / name
    call("evaluate", run)
    report: dict[str, Any] = json.loads((run / "reports" / "test_best.json").read_text())
    recall = {name: 100 * of["recall"] for name, of in report["subsets"]["av"]["per_class"].items()}
    return {
        "UA of the dynamic classes": mean(recall[name] for name in DYNAMIC),
        "UA of the static classes": mean(recall[name] for name in STATIC),
        "UA of all classes": mean(recall.values()),
    }


def call(*words: object) -> None:
    """One command, as a user would type it."""
    if dual_hpc([str(word) for word in words]) != 0:
        raise SystemExit(f"dual-hpc {words[0]} failed")


if __name__ == "__main__":
    main()
