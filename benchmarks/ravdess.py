"""RAVDESS's 1,440 recordings, spoken by a synthesiser, from `pack` to report: sound alone, no actor in two parts.

    nice python -m benchmarks.ravdess

Every recording of the release's names is made (`shards.synthetic.ravdess_speech`), packed, and learned by the preset
`demo` with a model of sound alone; the folds are those of four actors that HiCMAE publishes. What is compared with is
the answer that is always one class.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import RESULTS, row, write
from benchmarks.science.training import REPORT, finish, import_all, predictions_file
from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from launch.cli.main import main as dual_hpc
from shards.synthetic.ravdess_speech import ESPEAK, write_ravdess

PROTOCOL, CHANCE = "ravdess8-hicmae", 100 / 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ravdess", description=__doc__)
    default = Path(tempfile.gettempdir()) / "dual-hpc-ravdess"
    parser.add_argument("--work", type=Path, default=default, help="corpus and runs (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--folds", type=int, default=2, help="of six (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    work, seconds = options.work.absolute(), {}
    raw, shards = work / "RAVDESS", work / "shards"
    began = time.monotonic()
    if not (shards / "index.json").exists():
        shutil.rmtree(raw, ignore_errors=True)
        write_ravdess(raw)
        seconds["spoken"] = time.monotonic() - began
        if dual_hpc(["pack", "ravdess", str(raw), "--out", str(shards)]) != 0:
            raise SystemExit("dual-hpc pack failed")
        seconds["packed"] = time.monotonic() - began - seconds["spoken"]
    import_all()
    rows, reports = [], {}
    for fold in range(1, options.folds + 1):
        began, config = time.monotonic(), load_config("demo", settings(work, shards, fold, options.epochs))
        known = predictions_file(work / "runs" / config.name).exists()
        reports[fold] = json.loads((RunDir(finish(config)).reports / f"{REPORT}.json").read_text())
        if not known:
            seconds[f"fold {fold}"] = time.monotonic() - began
        scores = reports[fold]["subsets"]["av"]
        rows.append(row(f"UA, fold {fold}: four actors who do not train", 100 * scores["ua"], CHANCE, "one class", "%"))
        print(f"fold {fold}: UA {100 * scores['ua']:.1f} %", file=sys.stderr, flush=True)
    voice = f"spoken by {ESPEAK}" if shutil.which(ESPEAK) else "spoken by the project's own voice"
    took = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())  # of what was not there already
    note = (
        f"1,440 recordings of 24 actors and 8 emotions, {voice}: 48 kHz, about -41 dBFS, some stereo, some at 22.05 "
        f"kHz. `{PROTOCOL}`, preset demo with model.family=audio_only, {options.epochs} epochs. Emotions are settings "
        "of pitch, range, rate and loudness, and every utterance is levelled: this shows that the way from recordings "
        f"to report works, not how well emotions are heard.{f' {took}.' if took else ''}"
    )
    path = write("ravdess", rows, note, options.out, seconds=seconds)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


def settings(store: Path, shards: Path, fold: int, epochs: int) -> list[str]:
    """Of one run."""
    return [
        *(f"name=ravdess-{fold}", f"store={store}", f"data.shards=[{shards}]", f"data.protocol={PROTOCOL}"),
        *(f"data.test_fold={fold}", "data.workers=0", "data.max_seconds=4", "model.family=audio_only"),
        *(f"training.epochs={epochs}", "launch.ranks_per_node=1", "tracking.enabled=false"),
    ]


if __name__ == "__main__":
    main()
