"""RAVDESS, spoken by a synthesiser: sound alone, from `pack` to report, by one protocol of the examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dual_hpc.evaluation.prediction_file import read_predictions
from dual_hpc.run.directory import RunDir
from launch.cli import main as command
from shards.synthetic.named import ravdess_names
from shards.synthetic.ravdess_speech import write_ravdess

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
ACTORS = Path(__file__).parents[2] / "examples" / "protocols" / "actors.yaml"
SMALL = (
    *("data.workers=0", "data.max_seconds=4", "data.global_batch=16", "data.micro_batch=16", "training.epochs=8"),
    *("model.family=audio_only", "launch.ranks_per_node=1", "tracking.enabled=false"),
)


def test_24_actors_of_a_synthesiser_are_packed_learned_and_reported_by_sound_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))
    # One sentence in the normal intensity, said twice: 24 actors, 8 emotions.
    names = [name for name in ravdess_names() if name.split("/")[1].split("-")[3:5] == ["01", "01"]]
    assert write_ravdess(tmp_path / "RAVDESS", names=names) == 384
    assert command.main(["pack", "ravdess", str(tmp_path / "RAVDESS"), "--out", str(tmp_path / "shards")]) == 0
    said = capsys.readouterr()
    assert "384 of 384" in said.out + said.err

    words = ["--preset", "demo", "--shards", str(tmp_path / "shards"), "name=actors", f"data.protocol={ACTORS}"]
    assert command.main(["train", *words, "data.test_fold=07", *SMALL]) == 0
    assert "no sample has video" not in capsys.readouterr().err  # which this model does not read anyway
    run = RunDir.open(tmp_path / "store" / "runs" / "actors")
    assert command.main(["evaluate", str(run.path)]) == 0
    predictions = read_predictions(run.reports / "test_best_predictions.jsonl")
    assert {one.speaker for one in predictions.utterances.values()} == {"07"} and len(predictions.utterances) == 16
    report = json.loads((run.reports / "test_best.json").read_text())
    assert report["subsets"]["av"]["ua"] > 2 * report["baselines"]["majority"]["ua"]
    text = (run.reports / "test_best.md").read_text()
    assert "{A}" in text and "{A,V" not in text and "{A,T" not in text
