"""A model that was trained on features answers clips through the encoders that made these, and through no others."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.config import load_config
from dual_hpc.config.schema import ModelConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import feature_source
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.evaluation.prediction_file import ENDING, read_predictions
from dual_hpc.evaluation.run import evaluate_into
from dual_hpc.evaluation.task import prepare
from dual_hpc.inference.explanation import explain
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.requests import Clip
from dual_hpc.inference.served_clips import answer_clips
from dual_hpc.model import build_model, build_tokenizer, load_model, save_model
from dual_hpc.model.encoders.origin import load_encoders, recorded_encoders, save_encoders
from dual_hpc.model_manifest import write_manifest
from dual_hpc.training.shard_config import config_for_shards
from shards.encoders import encoders_of_model
from shards.extraction import extract
from shards.options import PackOptions
from shards.packing import pack
from tests.unit.inference.conftest import write_clip

PREPROCESSING = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 2.0, "max_tokens": 16}
CLIPS = {"joy": 1.3, "fear": 0.9, "calm": 2.6}


class Trained:
    """Clips, their shards, features of those, and a model of the features."""

    def __init__(self, folder: Path, dtype: str) -> None:
        torch.manual_seed(0)
        self.folder, self.dtype = folder, dtype
        rows = []
        for label, seconds in CLIPS.items():
            write_clip(folder / f"{label}.mp4", seconds)
            media = f"{label}.mp4"
            rows.append({"id": label, "audio": media, "video": media, "label": label, "text": f"it is {label}"})
        (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
        self.media, self.features = folder / "media", folder / "features"
        pack("manifest", folder / "mine.jsonl", self.media, PackOptions(video_size=48), progress=False)
        config = load_config("demo", ["model.hidden_size=16", "model.num_heads=2"])
        tokenizer = build_tokenizer(["it is joy", "it is fear"], minimum_count=1)
        self.encoders = folder / "encoders"
        save_model(build_model(config.model, ["a", "b"], PREPROCESSING, None, tokenizer), tokenizer, self.encoders)
        extract(self.media, self.features, encoders_of_model(self.encoders), dtype)
        self.model = self.train(folder / "model")

    def train(self, folder: Path, *overrides: str) -> Path:
        dataset = ShardDataset([self.features])
        config = config_for_shards(load_config("demo", [f"data.shards=[{self.features}]", *overrides]), dataset)
        source, packed = feature_source(dataset), dataset.preparation
        assert source is not None and packed is not None and source.origin is not None
        made = {**source.preprocessing, "max_seconds": config.data.max_seconds}
        torch.manual_seed(1)
        records = {"preparation": packed.to_json(), "feature_encoders": source.origin}
        save_model(build_model(config.model, sorted(CLIPS), made, None, None, **records), None, folder)
        return folder

    def over(self, model: Path, shards: Path, out: Path) -> dict[str, list[float]]:
        data = load_config(None, ["data.protocol=all"]).data.model_copy(update={"shards": [str(shards)]})
        evaluate_into(out, model, data, "all", ("avt",))
        found = read_predictions(out / f"all{ENDING}").found["avt"]
        return dict(zip(found.keys, found.probabilities.tolist(), strict=True))


@pytest.fixture(scope="module", params=["float16", "float32"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"), request.param)


def alone(trained: Trained, folder: Path) -> Path:
    """The model with its encoders in one folder, and nothing left where they lay."""
    shutil.copytree(trained.model, folder)
    config = load_model(folder)[0].config
    encoders = load_encoders(
        recorded_encoders(config.to_dict(), folder), ("audio", "video", "text"), folder, load_model
    )
    save_encoders(encoders, folder)
    write_manifest(folder)
    return folder


def raw(model: Path, trained: Trained) -> dict[str, list[float]]:
    predictor = Predictor.from_pretrained(model, "cpu")
    found = {label: predictor.predict(trained.folder / f"{label}.mp4", f"it is {label}") for label in CLIPS}
    return {label: list(answer.probabilities.values()) for label, answer in found.items()}


def assert_equal(one: dict[str, list[float]], other: dict[str, list[float]]) -> None:
    assert one.keys() == other.keys()
    for key, row in one.items():
        assert row == pytest.approx(other[key], abs=1e-3)


def test_clips_raw_packed_and_extracted_are_answered_alike(trained: Trained, tmp_path: Path) -> None:
    expected = trained.over(trained.model, trained.features, tmp_path / "1")
    assert len({tuple(row) for row in expected.values()}) == len(CLIPS)
    assert_equal(trained.over(trained.model, trained.media, tmp_path / "2"), expected)
    assert_equal(raw(trained.model, trained), expected)


def test_the_model_alone_needs_nothing_else(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trained.over(trained.model, trained.features, tmp_path / "1")
    folder = alone(trained, tmp_path / "alone")
    away = trained.encoders.rename(tmp_path / "away")
    try:
        assert_equal(raw(folder, trained), expected)
        assert_equal(trained.over(folder, trained.media, tmp_path / "2"), expected)
        with pytest.raises(UserError, match=r"which is not there: put it back, or export .* --with-encoders"):
            Predictor.from_pretrained(trained.model, "cpu")
    finally:
        away.rename(trained.encoders)


def test_a_model_that_cuts_earlier_than_its_encoders_is_answered_alike(trained: Trained, tmp_path: Path) -> None:
    model = trained.train(tmp_path / "short", "data.max_seconds=1.0")
    expected = trained.over(model, trained.features, tmp_path / "1")
    assert_equal(raw(model, trained), expected)


def test_missing_streams_are_missing_features(trained: Trained, tmp_path: Path) -> None:
    predictor = Predictor.from_pretrained(trained.model, "cpu")
    write_clip(tmp_path / "silent.mp4", 1.0, audio=False)
    answer = predictor.predict(tmp_path / "silent.mp4")
    assert answer.modalities == ["video"] and sum(answer.probabilities.values()) == pytest.approx(1)


def test_a_server_answers_as_predict_does(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUAL_SERVE_FOLDER", str(trained.folder))
    predictor = Predictor.from_pretrained(trained.model, "cpu")
    (row,) = answer_clips(predictor, [{"path": "joy.mp4", "text": "it is joy"}], tmp_path)
    assert row["probabilities"] == predictor.predict(trained.folder / "joy.mp4", "it is joy").probabilities


@pytest.mark.parametrize("modality", ["audio", "video", "text"])
def test_other_encoders_in_the_same_place_are_refused(trained: Trained, tmp_path: Path, modality: str) -> None:
    other, tokenizer = load_model(trained.encoders)
    with torch.no_grad():
        next(getattr(other, f"{modality}_encoder").parameters()).view(-1)[0] += 1
    kept = shutil.copytree(trained.encoders, tmp_path / "kept")
    save_model(other, tokenizer, trained.encoders)
    try:
        with pytest.raises(UserError, match=f"the {modality} encoder in .* is not the one that made the features"):
            Predictor.from_pretrained(trained.model, "cpu")
    finally:
        shutil.rmtree(trained.encoders)
        kept.rename(trained.encoders)


def test_another_vocabulary_is_refused(trained: Trained, tmp_path: Path) -> None:
    folder = alone(trained, tmp_path / "alone")
    build_tokenizer(["other words"], minimum_count=1).save_pretrained(folder / "encoders")
    write_manifest(folder)
    with pytest.raises(UserError, match="is not the one that made the text features"):
        Predictor.from_pretrained(folder, "cpu")


def test_changed_files_of_the_encoders_are_damage(trained: Trained, tmp_path: Path) -> None:
    folder = alone(trained, tmp_path / "alone")
    weights = folder / "encoders" / "encoders.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(EnvironmentFault, match=r"encoders\.safetensors has other content"):
        Predictor.from_pretrained(folder, "cpu")
    write_manifest(folder)  # whoever accepts the change still has other encoders
    with pytest.raises(UserError, match="is not the one that made the features"):
        Predictor.from_pretrained(folder, "cpu")


def test_a_model_of_features_of_an_earlier_version_says_what_it_lacks(trained: Trained, tmp_path: Path) -> None:
    dataset = ShardDataset([trained.features])
    config = config_for_shards(load_config("demo", [f"data.shards=[{trained.features}]"]), dataset)
    save_model(build_model(config.model, ["a", "b"], PREPROCESSING, None, None), None, tmp_path)
    with pytest.raises(UserError, match="does not say which encoders made them"):
        Predictor.from_pretrained(tmp_path, "cpu")


@pytest.mark.parametrize(
    "change",
    [
        {"encoders": {}},
        {"encoders": {"smell": {}}},
        {"dtype": "float8"},
        {"preprocessing": {"image_size": -1}},
        {"preprocessing": {"image_size": 10**9}},
    ],
    ids=str,
)
def test_a_record_that_no_extraction_wrote_is_refused(trained: Trained, tmp_path: Path, change: dict[str, Any]) -> None:
    shutil.copytree(trained.model, tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    content = json.loads(path.read_text())
    content["feature_encoders"] |= change
    path.write_text(json.dumps(content))
    write_manifest(tmp_path / "m")
    with pytest.raises(UserError, match="feature_encoders"):
        Predictor.from_pretrained(tmp_path / "m", "cpu")


def test_the_record_names_where_the_encoders_are_and_their_snapshot(trained: Trained, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--mine" / "snapshots" / ("0123456789" * 4)
    shutil.copytree(trained.encoders, snapshot)
    origin = json.loads(str(encoders_of_model(snapshot).origin))
    assert {one["revision"] for one in origin["encoders"].values()} == {"0123456789" * 4}
    assert origin["encoders"]["audio"]["path"] == str(snapshot)
    assert len(origin["encoders"]["audio"]["weights"]) == 64


def test_pretrained_folders_are_found_again(tmp_path: Path) -> None:
    """`extract --preset` names folders of transformers, one for each modality."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    tokenizer = build_tokenizer(["it is joy"], minimum_count=1)
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    from shards.encoders import encoders_of_config

    text = [f"model.text.path={tmp_path / 'bert'}", "model.text.kind=bert"]
    config = load_config("demo", [*text, "model.use_audio=false", "model.use_video=false"])
    origin = json.loads(str(encoders_of_config(config).origin))
    stored = {"width": 16, "encoder": origin["encoders"]["text"]["identity"]}
    section: Any = {"kind": "features", "trainable": "none", "config": stored}
    head = ModelConfig(hidden_size=16, num_heads=2, use_audio=False, use_video=False, text=section)
    made = {**PREPROCESSING, "max_seconds": 20.0}
    save_model(build_model(head, ["a", "b"], made, None, None, feature_encoders=origin), None, tmp_path / "m")
    predictor = Predictor.from_pretrained(tmp_path / "m", "cpu")
    write_clip(tmp_path / "a.wav", 0.5, video=False)
    answers = [predictor.predict(tmp_path / "a.wav", text).probabilities for text in ("it is joy", "joy", None)]
    assert len({tuple(one.values()) for one in answers}) == 3


def test_faces_are_cut_before_the_encoders_as_in_packing(trained: Trained, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    how = replace(PackOptions(video_size=48), faces=True)
    pack("manifest", trained.folder / "mine.jsonl", tmp_path / "media", how, progress=False)
    extract(tmp_path / "media", tmp_path / "features", encoders_of_model(trained.encoders))
    packed = ShardDataset([tmp_path / "features"]).preparation
    assert packed == how.preparation()


def test_an_answer_of_features_is_explained_by_its_words_and_its_alignment(trained: Trained) -> None:
    predictor = Predictor.from_pretrained(trained.model, "cpu")
    clip = Clip(trained.folder / "joy.mp4", "it is joy")
    prepared = predictor.prepare(clip)
    found = explain(predictor, prepared, "joy")
    assert [one.word for one in found.words] == ["it", "is", "joy"] and found.matrices
    assert all(0 < (one.attention or 0) < 1 and one.loss is not None for one in found.words)


def test_the_robustness_suite_perturbs_media_before_the_encoders(trained: Trained, tmp_path: Path) -> None:
    answers, curves = {}, {}
    for name, shards in (("media", trained.media), ("features", trained.features)):
        data = load_config(None, ["data.protocol=all"]).data.model_copy(update={"shards": [str(shards)]})
        result = evaluate_into(tmp_path / name, trained.model, data, "all", ("av", "avt"), robustness_seed=3)
        assert result is not None and result.robustness is not None and result.predictions is not None
        answers[name] = result.predictions.found
        curves[name] = {(one.perturbation.title, one.subset) for one in result.robustness.curves}
    assert {title for title, _ in curves["features"]} == {"audio missing", "video missing", "text missing"}
    assert {"babble", "quieter audio", "dropped frames", "word errors"} < {title for title, _ in curves["media"]}
    for view, found in answers["features"].items():  # what both can show is answered alike
        np.testing.assert_allclose(answers["media"][view].probabilities, found.probabilities, atol=1e-3)

    data = load_config(None, ["data.protocol=all"]).data.model_copy(update={"shards": [str(trained.media)]})
    task = prepare(trained.model, data, "all", ("av", "avt"), "cpu", None, 3, None)
    (batch,) = task.loader([0])
    plain, changed = load_model(trained.model)[0].eval(), 0
    for view, shown in task.views.items():
        if view in answers["features"] or view not in answers["media"]:
            continue
        with torch.inference_mode():
            made = task.model.features(shown(batch), torch.device("cpu"))
            features = {name: x.float() for name, (x, _) in made.items()}
            lengths = {f"{name}_lengths": n for name, (_, n) in made.items()}
            durations = batch["durations"].clamp(max=plain.config.preprocessing["max_seconds"])
            expected = plain(durations=durations, **features, **lengths).logits.softmax(-1)
        got = dict(zip(answers["media"][view].keys, answers["media"][view].probabilities, strict=True))
        for row, key in enumerate(batch["keys"]):
            if key in got and batch["valid"][row]:
                np.testing.assert_allclose(got[key], expected[row], atol=1e-4)
        clean = answers["media"].get(view.split()[-1])
        changed += clean is not None and not np.allclose(answers["media"][view].probabilities, clean.probabilities)
    assert changed > 10
