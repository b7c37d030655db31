"""The card of an exported model says what is known, says what is not, and stays its owner's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.checkpoint.export import publish
from dual_hpc.config import load_config
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.evaluation.prediction_file import ENDING, write_predictions
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.model import DualConfig, DualForEmotionClassification, load_model, onnx_graph, save_model
from dual_hpc.model.confidence import read_confidence
from dual_hpc.model_manifest import CARD, check_files, damage_of
from dual_hpc.run.directory import RunDir
from dual_hpc.training import export
from dual_hpc.training.export import export_checkpoint
from launch.cli.main import main

MODEL: dict[str, Any] = {"hidden_size": 16, "num_heads": 2, "use_text": False, "use_video": False}
CONFIG = DualConfig(**{**MODEL, "labels": ["calm", "cross|odd"], "class_counts": [1200, 7]})
SETTINGS = ["data.shards=[/secret/place/mine]", "data.protocol=all", "training.epochs=3", "name=talkers"]


def report(step: int, **changes: Any) -> dict[str, Any]:
    one = {"ua": 0.6125, "interval": {"ua": [0.5, 0.7]}, "per_class": {"calm": {}, "cross|odd": {}}}
    return {
        "about": {"checkpoint": f"best (step_{step:08d})", "split": "test", "count": 40, "selection": "the best UA"},
        "classes": CONFIG.labels,
        "baselines": {},
        "subsets": {"av": {**one, "confusion": [[30, 0], [10, 0]]}},
        "reliance": None,
        **changes,
    }


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run whose best weights are of step 12, and whose reports are of these, of others, and no reports at all."""
    run = RunDir.create(tmp_path / "run", load_config("demo", [f"store={tmp_path}", *SETTINGS]), "abc123")
    torch.manual_seed(0)
    publish(run.exports, "best", 12, lambda folder: save_model(DualForEmotionClassification(CONFIG), None, folder))
    other = report(9)
    other["subsets"]["av"]["ua"] = 0.987
    for name, content in {"test_best": report(12), "older": other, "robustness": {"about": 1}}.items():
        (run.reports / f"{name}.json").write_text(json.dumps(content))
    (run.reports / "torn.json").write_text("{")
    return run


def test_the_card_has_the_scores_of_just_these_weights_and_says_what_the_owner_must_add(
    run: RunDir, tmp_path: Path
) -> None:
    made = export_checkpoint(run.path, out=tmp_path / "model", best=True)
    card = (made / CARD).read_text()
    assert "61.3 [50.0, 70.0]" in card and "98.7" not in card
    assert "step 12" in card and "calm 1,200" in card and "abc123" in card and "protocol | all" in card
    assert "/secret" not in card and "mine" in card
    assert "never answered with cross\\|odd" in card
    assert "None: the model reads no text" in card
    for section in ("Licence", "Citation"):
        assert "Not filled in. The owner" in card.split(f"## {section}")[1].split("##")[0]
    was, now = (load_model(folder)[0].state_dict() for folder in (run.exports / "best", made))
    assert all(torch.equal(value, now[name]) for name, value in was.items())


def test_scores_are_named_by_what_was_there_and_nothing_is_said_of_what_was_not(run: RunDir, tmp_path: Path) -> None:
    found = report(12)
    found["about"]["reads"] = "a"
    found["subsets"]["avt"] = found["subsets"]["av"]
    (run.reports / "test_best.json").write_text(json.dumps(found))
    card = (export_checkpoint(run.path, out=tmp_path / "model", best=True) / CARD).read_text()
    assert "| test {A} |" in card and "{A,V" not in card and "(test {A})" not in card and "({A})." in card
    assert 'predict("clip.wav"))' in card and "tokens of its text" not in card


@pytest.mark.parametrize(("split", "told"), [("{speaker: [0.7, 0.15, 0.15]}", False), ("{speaker: 5}", True)])
def test_a_test_fold_is_told_where_there_are_folds(tmp_path: Path, split: str, told: bool) -> None:
    run = RunDir.create(tmp_path / "run", load_config("own", [f"store={tmp_path}", *SETTINGS, f"data.split={split}"]))
    torch.manual_seed(0)
    publish(run.exports, "best", 12, lambda folder: save_model(DualForEmotionClassification(CONFIG), None, folder))
    card = (export_checkpoint(run.path, out=tmp_path / "model", best=True) / CARD).read_text()
    assert ("| test fold |" in card) == told


def test_what_was_not_measured_is_called_not_known(run: RunDir, tmp_path: Path) -> None:
    (run.reports / "test_best.json").unlink()
    card = (export_checkpoint(run.path, out=tmp_path / "model", best=True) / CARD).read_text()
    assert "No evaluation of these weights" in card and "UA" not in card.split("## Scores")[1].split("##")[0]


def test_the_owner_may_write_into_the_card_and_a_second_export_leaves_it(run: RunDir) -> None:
    made = export_checkpoint(run.path, best=True)
    (made / CARD).write_text("CC BY 4.0\n")
    check_files(made)
    assert damage_of(made) == []
    assert export_checkpoint(run.path, best=True) == made and (made / CARD).read_text() == "CC BY 4.0\n"
    (made / CARD).unlink()
    assert "## Licence" in (export_checkpoint(run.path, best=True) / CARD).read_text()


def test_best_and_a_step_contradict_each_other_and_best_must_be_there(run: RunDir, tmp_path: Path, capsys: Any) -> None:
    assert main(["ckpt", "export", str(run.path), "--best", "--step", "3"]) == 2
    assert "--best" in capsys.readouterr().err
    assert main(["ckpt", "ls", str(run.path), "--best"]) == 2
    empty = RunDir.create(tmp_path / "empty", load_config("demo", [f"store={tmp_path}"]))
    with pytest.raises(UserError, match="nothing was validated yet"):
        export_checkpoint(empty.path, best=True)


def test_a_graph_lies_in_the_folder_and_the_manifest_and_answers_as_the_model(run: RunDir, tmp_path: Path) -> None:
    assert main(["ckpt", "export", str(run.path), "--best", "--torch-export", "--out", str(tmp_path / "model")]) == 0
    made = tmp_path / "model"
    assert damage_of(made) == []
    (made / "model.pt2").write_bytes((made / "model.pt2").read_bytes()[:-1])
    assert damage_of(made) != []


def test_a_graph_that_cannot_be_made_leaves_nothing(run: RunDir, tmp_path: Path, monkeypatch: Any) -> None:
    def differs(*_: Any) -> None:
        raise EnvironmentFault("it differs")

    monkeypatch.setattr(export, "export_graph", lambda model: None)
    monkeypatch.setattr(export, "save_graph", differs)
    with pytest.raises(EnvironmentFault, match="differs"):
        export_checkpoint(run.path, out=tmp_path / "model", best=True, graphs=["torch"])
    assert not list(tmp_path.glob("*model*"))


def test_a_package_that_onnx_needs_is_named_before_anything_is_done(
    run: RunDir, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(onnx_graph, "PACKAGES", ("onnx_of_nobody",))
    with pytest.raises(UserError, match=r"onnx_of_nobody.*dual-hpc\[onnx\]"):
        export_checkpoint(run.path, out=tmp_path / "model", best=True, graphs=["onnx"])
    assert not list(tmp_path.glob("*model*"))


def test_the_validation_of_just_these_weights_gives_the_confidence(run: RunDir, tmp_path: Path) -> None:
    assert read_confidence(export_checkpoint(run.path, out=tmp_path / "without", best=True)) is None
    keys = [f"u{number}" for number in range(40)]
    truth = np.array([0, 1] * 20)
    sure = np.where(np.arange(40) % 4 == 3, 0.1, 0.9)  # every second of class 1 is wrong, and as sure
    right = np.stack([np.where(truth == 0, sure, 1 - sure), np.where(truth == 0, 1 - sure, sure)], 1)
    for step, wrong in ((12, False), (9, True)):
        found = Predictions(keys, truth if not wrong else 1 - truth, right.astype(np.float32))
        about = {"split": "validation", "checkpoint": f"best (step_{step:08d})"}
        meta: dict[str, Any] = {"corpus": "mine", "dialogue": "d", "utterance": 0, "speaker": "s", "duration": 1.0}
        metas = {key: Utterance(key=key, label="calm", **meta) for key in keys}
        one = PredictionSet(about, CONFIG.labels, [1, 1], metas, {"av": found}, ["av"])
        write_predictions(run.reports / f"validation_{step}{ENDING}", one)
    measured = read_confidence(export_checkpoint(run.path, out=tmp_path / "with", best=True))
    assert measured is not None and measured.count == 40 and measured.subset == "av"
    assert measured.temperature > 1.5 and measured.risks[-1] == 0.25
    assert damage_of(tmp_path / "with") == []
