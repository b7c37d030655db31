"""A small model of the generated corpus, and what `dual-hpc predict` answers with it, at which cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dual_hpc
from benchmarks.recording.joined import Turn, write_corpus
from dual_hpc.inference.predictor import Predictor

SETTINGS = (
    *("name=talk", "data.protocol=all", "model.use_text=false", "launch.ranks_per_node=1", "tracking.enabled=false"),
    *("augment.drop_audio=0.15", "augment.drop_video=0.15"),
)


def train_model(folder: Path, clips: int, epochs: int) -> Path:
    """The last weights of a training on a generated corpus, in minutes on one core.

    The best of 25 scores of 28 clips is an accident.
    """
    (folder / "raw").mkdir()
    dual_hpc.pack("manifest", write_corpus(folder / "raw", clips), folder / "shards")
    settings = [*SETTINGS, f"training.epochs={epochs}", f"store={folder / 'store'}"]
    run = dual_hpc.train(dual_hpc.load_config("demo", settings), shards=[folder / "shards"])
    return run.exports / "last"


@dataclass(frozen=True)
class Answered:
    """What one process of `dual-hpc predict` did.

    Attributes:
        records: its lines of JSON.
        peak: MiB, the most memory that it had.
        cpu, wall: seconds.
    """

    records: list[dict[str, Any]]
    peak: float
    cpu: float
    wall: float


def predict(model: Path, file: Path, out: Path, *options: object) -> Answered:
    """`dual-hpc predict` of one file in a fresh process."""
    words = ["--model", model, "--input", file, "--output", out, "--device", "cpu", *options]
    command = [sys.executable, "-m", "launch.inference", *map(str, words)]
    started = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with exit code {process.returncode}")
    records = [json.loads(line) for line in out.read_text().splitlines()]
    wall = time.monotonic() - started
    return Answered(records, used.ru_maxrss / 1024, used.ru_utime + used.ru_stime, wall)


def single_clips(model: Path, turns: Sequence[Turn], suffix: str) -> list[bool]:
    """Whether the model is right on each turn as a clip of its own."""
    predictor = Predictor.from_pretrained(model, device="cpu")
    return [predictor.predict(turn.clip.with_suffix(suffix)).label == turn.emotion for turn in turns]


def right_windows(
    records: Sequence[dict[str, Any]], turns: Sequence[Turn], known: Sequence[bool], least: float
) -> tuple[int, int]:
    """How many windows are right, of those that lie in one turn by at least a share `least` of their length, and whose
    turn the model knows as a single clip.
    """
    right = count = 0
    for record in records:
        inside = [min(record["end"], turn.end) - max(record["start"], turn.start) for turn in turns]
        place = max(range(len(turns)), key=inside.__getitem__)
        if inside[place] >= least * (record["end"] - record["start"]) and known[place]:
            count += 1
            right += record["label"] == turns[place].emotion
    return right, count


def subtitles(path: Path) -> int:
    """How many ffprobe finds in a file; -1 where there is no ffprobe."""
    words = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "s:0", "-show_entries"]
    try:
        asked = [*words, "stream=nb_read_packets", "-of", "csv=p=0", str(path)]
        return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip().strip(","))
    except FileNotFoundError:
        print("no ffprobe: the subtitles are not read", file=sys.stderr)
        return -1
