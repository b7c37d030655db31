"""Leave one corpus out as a user does it: corpora that spell labels differently, one protocol, one sweep, its scores.

What classes sound like is planted alike in the corpora, as features, so that one is learned from another.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dual_hpc.evaluation.prediction_file import read_predictions
from dual_hpc.run.directory import RunDir
from launch.cli import main as command

pytestmark = [pytest.mark.distributed, pytest.mark.slow, pytest.mark.timeout(1800)]
LABELS = {"alpha": ("ang", "hap", "sad"), "beta": ("anger", "joy", "sadness")}
WIDTH, HZ = 8, 4
PROTOCOL = """
corpora:
  alpha: {classes: {angry: ang, happy: hap, sad: sad}}
  beta: {classes: {angry: anger, happy: joy, sad: sadness}, weight: 2}
"""
LEFT_OUT = PROTOCOL + "folds: {by: corpus}\nvalidation: {by: speaker}\n"
POOLED = PROTOCOL + "folds: {by: speaker, k: 3}\nvalidation: {fold: next}\n"
SMALL = (
    *("model.family=audio_only", "data.workers=0", "data.global_batch=16", "data.micro_batch=16", "optim.lr=3e-3"),
    *("training.epochs=6", "launch.ranks_per_node=1", "launch.profile=local", "tracking.enabled=false"),
)


def packed(corpus: str, folder: Path) -> str:
    """Feature shards of a corpus of six speakers, whose names are the same in each corpus, by the command."""
    rng = np.random.default_rng(sum(map(ord, corpus)))
    (folder / corpus).mkdir(parents=True)
    rows = []
    for number in range(72):
        key, label = f"{corpus}_{number:03d}", number % 3
        planted = rng.normal(0, 0.5, (HZ, WIDTH))
        planted[:, label] += 2
        np.save(folder / corpus / f"{key}.npy", planted.astype(np.float32))
        row = {"id": key, "audio": f"{key}.npy", "duration": 1.0, "label": LABELS[corpus][label]}
        rows.append(
            json.dumps({**row, "speaker": f"s{number // 3 % 6}", "gender": ("female", "male")[number // 3 % 2]})
        )
    (folder / corpus / f"{corpus}.jsonl").write_text("\n".join(rows) + "\n")
    out = folder / "shards" / corpus
    words = [
        "pack",
        "features",
        str(folder / corpus / f"{corpus}.jsonl"),
        "--array",
        f"audio={WIDTH}@{HZ}",
        "--maker",
        "planted",
    ]
    assert command.main([*words, "--out", str(out)]) == 0
    return str(out)


def test_one_corpus_is_learned_from_another_and_scores_are_told_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))
    shards = [word for corpus in LABELS for word in ("--shards", packed(corpus, tmp_path))]
    for name, text in (("left_out", LEFT_OUT), ("pooled", POOLED)):
        (tmp_path / f"{name}.yaml").write_text(text)
    members = [f"data.protocol={tmp_path / 'left_out.yaml'} data.test_fold={corpus}" for corpus in LABELS]
    members.append(f"data.protocol={tmp_path / 'pooled.yaml'} data.test_fold=1")
    listed = [word for member in members for word in ("--member", member)]
    assert command.main(["sweep", "--preset", "demo", *shards, "name=corpora", *SMALL, *listed]) == 0
    capsys.readouterr()
    assert command.main(["sweep", "--evaluate", "corpora"]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("alpha", "beta", "pooled"))

    runs = {}
    for run in map(RunDir.open, sorted((tmp_path / "store" / "runs").iterdir())):
        data = run.config().data
        runs[f"{data.protocol} {data.test_fold}"] = run
    assert set(runs) == {"left_out alpha", "left_out beta", "pooled 1"}
    for name, run in runs.items():
        report = json.loads((run.reports / "test_best.json").read_text())["subsets"]["av"]
        tested = {
            one.corpus for one in read_predictions(run.reports / "test_best_predictions.jsonl").utterances.values()
        }
        assert report["ua"] > 0.9, name
        assert tested == ({name.split()[1]} if name.startswith("left_out") else set(LABELS))
        corpora = report["groups"].get("corpus", {})
        assert set(corpora) == (set() if name.startswith("left_out") else set(LABELS))
        if corpora:  # each of them, and both together
            counts = [one["count"] for one in corpora.values()]
            assert sum(counts) == report["count"] and min(one["ua"] for one in corpora.values()) > 0.8
            assert {"alpha s0", "beta s0"} & set(report["speakers"]) or len(report["speakers"]) == 4

    assert command.main(["report", str(runs["pooled 1"].path)]) == 0
    page = (runs["pooled 1"].reports / "test_best.md").read_text()
    assert "alpha" in page and "beta" in page
    assert command.main(["compare", *(run.path.name for run in (runs["left_out alpha"], runs["left_out beta"]))]) == 2
    assert "has the test folds alpha" in capsys.readouterr().err  # two corpora: no table sets one beside the other
