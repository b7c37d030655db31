"""Saving and loading in the Hugging Face way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import UserError
from dual_hpc.model import DualConfig, DualForEmotionClassification, load_model, save_model

from transformers import AutoModel  # isort: skip  (after the torchaudio stub)


def one_line(failure: Any) -> str:
    assert "\n" not in str(failure.value)
    return str(failure.value)


@pytest.mark.parametrize("family", ["light", "melcnn", "wav2vec2-vit-roberta", "hubert", "wavlm"])
def test_a_saved_model_gives_bitwise_the_same(
    family: str, make_model: Any, make_batch: Any, tokenizer: Any, tmp_path: Path
) -> None:
    model, batch = make_model(family), make_batch()
    save_model(model, tokenizer, tmp_path)
    again, words = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, again(**batch).logits)
    assert words("hello you").input_ids == tokenizer("hello you").input_ids
    assert not again.training
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in tmp_path.iterdir()}


def test_transformers_own_loader_knows_the_model(make_model: Any, make_batch: Any, tmp_path: Path) -> None:
    model, batch = make_model(), make_batch()
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert type(again) is DualForEmotionClassification and not again.training
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, again(**batch).logits)


def test_what_was_frozen_is_frozen_after_loading(make_model: Any, tmp_path: Path) -> None:
    model = make_model("wav2vec2-vit-roberta", use_text=False)
    frozen = make_model(audio={"kind": "logmel", "trainable": 1, "config": {"channels": 16, "blocks": 2}})
    for number, original in enumerate((model, frozen)):
        original.save_pretrained(tmp_path / str(number))
        again = DualForEmotionClassification.from_pretrained(tmp_path / str(number))
        wanted = {name: p.requires_grad for name, p in original.named_parameters()}
        assert {name: p.requires_grad for name, p in again.named_parameters()} == wanted


def test_a_model_without_text_needs_no_tokenizer(make_model: Any, tmp_path: Path) -> None:
    save_model(make_model(use_text=False), None, tmp_path)
    assert load_model(tmp_path)[1] is None


def test_a_model_of_features_needs_no_tokenizer_and_gives_bitwise_the_same(
    make_model: Any, make_batch: Any, tmp_path: Path
) -> None:
    model, batch = make_model("features"), make_batch()
    save_model(model, None, tmp_path)
    again, words = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, again(**batch).logits)
    assert words is None and again.config.reads_features and again.config.audio == model.config.audio


def test_the_configuration_survives_json(make_model: Any, tmp_path: Path) -> None:
    config = make_model(loss="focal", grid_hz=7.5, temperature=0.3).config
    config.save_pretrained(tmp_path)
    again = DualConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert again.labels == ["anger", "happiness", "neutral", "sadness"]
    assert again.preprocessing["video_hz"] == 5.0
    assert again.alignment_temperature == 0.3


def test_the_configuration_has_the_keys_and_defaults_of_the_run_s() -> None:
    ours, theirs = DualConfig(), ModelConfig()
    for name in set(ModelConfig.model_fields) - {"audio", "video", "text", "temperature", "family", "options"}:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.alignment_temperature == theirs.temperature
    for modality in ("audio", "video", "text"):
        assert getattr(ours, modality)["kind"] == getattr(theirs, modality).kind


def test_a_missing_directory_is_the_user_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError) as failure:
        load_model(tmp_path / "absent")
    assert "config.json" in one_line(failure)


def test_another_model_s_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError) as failure:
        load_model(tmp_path)
    assert "'bert'" in one_line(failure)


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_a_broken_config_is_the_user_s_mistake(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError) as failure:
        load_model(tmp_path)
    one_line(failure)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hidden_size", "wide", "hidden_size: input should be a valid integer"),
        ("grid_hz", 0, "grid_hz"),
        ("loss", "guess", "model.loss: there is no loss 'guess'"),
        ("use_text", "no", "use_text"),
        ("alignment_temperature", 0, "temperature"),
        ("audio", {"kind": "ear", "trainable": "all", "config": {}}, "audio.kind"),
        ("audio", {"kind": "logmel", "trainable": 9, "config": {}}, "model.audio.trainable=9"),
        ("num_heads", 5, "cannot be loaded"),
        ("preprocessing", 3, "cannot be loaded"),
        ("id2label", {"a": "b"}, "cannot be loaded"),
        ("id2label", {"0": "anger"}, "do not fit its config.json (decoder.head."),
        ("hidden_size", 8, "do not fit its config.json"),
    ],
)
def test_a_configuration_that_makes_no_model_or_another_is_the_user_s_mistake(
    key: str, value: Any, said: str, make_model: Any, tmp_path: Path
) -> None:
    make_model().save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, key: value}))
    with pytest.raises(UserError) as failure:
        load_model(tmp_path)
    assert said in one_line(failure) and str(tmp_path) in one_line(failure)


def test_weights_that_are_missing_truncated_or_foreign_are_refused(make_model: Any, tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = load_file(weights)

    save_file({name: value for name, value in whole.items() if name != "decoder.head.bias"}, weights, {"format": "pt"})
    with pytest.raises(UserError) as failure:
        load_model(tmp_path)
    assert "decoder.head.bias" in one_line(failure)

    save_file({**whole, "decoder.head.bias": torch.zeros(9)}, weights, {"format": "pt"})
    with pytest.raises(UserError) as failure:
        load_model(tmp_path)
    one_line(failure)

    weights.write_bytes(weights.read_bytes()[:1_000])
    with pytest.raises(UserError) as failure:
        load_model(tmp_path)
    one_line(failure)

    weights.unlink()
    with pytest.raises(UserError) as failure:
        load_model(tmp_path)
    one_line(failure)
