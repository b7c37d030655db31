"""`predict` on folders of shards: the answers that evaluation has, for utterances with labels and without."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.config import load_config
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import feature_source
from dual_hpc.evaluation.prediction_file import ENDING, read_predictions
from dual_hpc.evaluation.run import evaluate_into
from dual_hpc.model import build_model, save_model
from dual_hpc.training.shard_config import config_for_shards
from launch.cli.main import main

SAID = ["--array", "audio=8@50", "--array", "words=5", "--maker", "mine"]


class Foreign:
    """Features that somebody else made, of labelled utterances and of others, and a model of the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labelled = self.pack("labelled", [f"utt{n}" for n in range(5)], "ab")
        self.others = self.pack("others", ["x1", "x2", "x3"], "")
        dataset = ShardDataset([self.labelled])
        config = config_for_shards(load_config("demo", ["model.use_video=false"]), dataset)
        source = feature_source(dataset)
        assert source is not None and source.origin is None
        torch.manual_seed(0)
        model = build_model(config.model, ["a", "b"], source.preprocessing, None, None)
        self.model = folder / "model"
        save_model(model, None, self.model)

    def pack(self, name: str, keys: list[str], labels: str) -> Path:
        folder, random = self.folder / name, np.random.default_rng(len(keys))
        folder.mkdir()
        rows = []
        for number, key in enumerate(keys):
            np.save(folder / f"{key}.npy", random.standard_normal((40 + 20 * number, 8)))
            torch.save(torch.from_numpy(random.standard_normal((3 + number, 5))), folder / f"{key}.pt")
            words = f"{key}.pt" if number else ""  # the first one says nothing
            rows.append(f"{key},{key}.npy,{words},{labels[number % 2] if labels else ''}")
        (folder / "t.csv").write_text("\n".join(["id,audio,words,label", *rows]) + "\n")
        assert main(["pack", "features", str(folder / "t.csv"), "--out", str(folder / "shards"), *SAID]) == 0
        return folder / "shards"

    def predict(self, *words: object) -> int:
        return main(["predict", "--model", str(self.model), *map(str, words)])


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    return Foreign(tmp_path_factory.mktemp("foreign"))


def answers(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_foreign_features_are_answered_as_evaluation_does(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert foreign.predict("--input", foreign.labelled) == 0
    found = {row["input"]: row for row in answers(capsys.readouterr().out)}
    data = load_config(None, ["data.protocol=all"]).data.model_copy(update={"shards": [str(foreign.labelled)]})
    evaluate_into(tmp_path, foreign.model, data, "all", ("at",))
    expected = read_predictions(tmp_path / f"all{ENDING}").found["at"]
    assert sorted(found) == expected.keys
    for key, row in zip(expected.keys, expected.probabilities.tolist(), strict=True):
        assert list(found[key]["probabilities"].values()) == pytest.approx(row, abs=1e-4)
    assert found["utt0"]["modalities"] == ["audio"] and found["utt1"]["modalities"] == ["audio", "text"]
    assert found["utt4"]["duration"] == 2.4


def test_those_without_labels_are_answered_into_a_table(foreign: Foreign, tmp_path: Path) -> None:
    assert foreign.predict("--input", foreign.others, "--output", tmp_path / "a.csv") == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert sorted(row["input"] for row in rows) == ["x1", "x2", "x3"]
    assert all(abs(float(row["a"]) + float(row["b"]) - 1) < 1e-3 and row["error"] == "" for row in rows)


def test_a_damaged_utterance_is_said_and_the_others_are_answered(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for file in foreign.others.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    entry = next(one for one in ShardDataset([folder]).samples if one.sample.meta.key == "x2")
    offset, size = entry.sample.members["audio.npy"][:2]
    data = bytearray((folder / entry.shard.name).read_bytes())
    data[offset + size - 1] ^= 0xFF
    (folder / entry.shard.name).write_bytes(data)
    assert foreign.predict("--input", folder) == 2
    said = capsys.readouterr()
    found = {row["input"]: row for row in answers(said.out)}
    assert "cannot be read" in found["x2"]["error"] and "x2: cannot be read" in said.err
    assert all("label" in found[key] for key in ("x1", "x3"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{others}", "{folder}"], "is not a folder of shards, and others are"),
        (["{others}", "--output", "{others}/index.json"], "lies among the shards; choose another folder"),
        (["{others}", "--text", "hello"], "--text: is for clips, not for packed utterances"),
        (["{others}", "--window", "3"], "--window: is for clips"),
        (["{others}", "--explain"], "--explain: is for clips"),
        (["{others}", "{others}"], "list a folder twice"),
        (["{others}", "--unsure", "0.2"], "--unsure: this model's confidence was not measured"),
        (["{others}", "--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
    ],
)
def test_what_does_not_go_with_shards_is_refused(
    words: list[str], said: str, foreign: Foreign, capsys: pytest.CaptureFixture[str]
) -> None:
    assert foreign.predict("--input", *(w.format(others=foreign.others, folder=foreign.folder) for w in words)) == 2
    assert said in capsys.readouterr().err


def test_features_of_another_maker_are_refused(foreign: Foreign, capsys: pytest.CaptureFixture[str]) -> None:
    out = foreign.folder / "stranger"
    table = foreign.folder / "others" / "t.csv"
    assert main(["pack", "features", str(table), "--out", str(out), *SAID[:4]]) == 0
    assert foreign.predict("--input", out) == 2
    assert "audio features are not of the encoder that this model was trained on" in capsys.readouterr().err
