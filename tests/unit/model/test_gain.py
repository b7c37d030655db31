"""How loud an utterance was recorded changes no answer; models and runs of earlier versions stay as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dual_hpc.config.encoder_section import EncoderConfig
from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import UserError
from dual_hpc.model import DualConfig, build_model, load_model, save_model
from dual_hpc.model.encoders.base import Context, Encoder, OwnEncoder
from dual_hpc.model_manifest import KEY, MANIFEST
from tests.unit.model.conftest import LABELS, PREPROCESSING, SPEECH

RUN_MODEL: dict[str, Any] = {"hidden_size": 16, "num_heads": 2, "use_text": False, "use_video": False}


@pytest.mark.parametrize("encoders", ["light", "melcnn", "wav2vec2-vit-roberta", "hubert", "wavlm"])
@given(st.lists(st.floats(-40, 20), min_size=7, max_size=7))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_logits_do_not_depend_on_the_gain_of_each_clip(
    make_model: Any, make_batch: Any, encoders: str, decibels: list[float]
) -> None:
    model, batch = make_model(encoders), make_batch()
    gains = 10 ** (torch.tensor(decibels) / 20)
    with torch.no_grad():
        plain = model(**batch).logits
        changed = model(**{**batch, "waveform": batch["waveform"] * gains[:, None]}).logits
    torch.testing.assert_close(changed, plain, atol=2e-5, rtol=1e-4)


def as_before(folder: Path) -> dict[str, Any]:
    """The configuration of a saved model, whose manifest is taken away: such models had none."""
    written = json.loads((folder / "config.json").read_text())
    del written[KEY]
    (folder / MANIFEST).unlink()
    return dict(written)


def test_an_exported_model_carries_the_setting(make_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    save_model(make_model(), tokenizer, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["audio"]["config"]["normalize"] is True
    assert load_model(tmp_path)[0].audio_encoder.spectrogram.normalize
    assert DualConfig.from_dict({}).audio["config"] == {"normalize": True}


def test_a_model_that_was_exported_before_keeps_its_answers(
    make_model: Any, make_batch: Any, tokenizer: Any, tmp_path: Path
) -> None:
    earlier = make_model(audio={"kind": "logmel", "config": {"channels": 16, "blocks": 1, "normalize": False}})
    save_model(earlier, tokenizer, tmp_path)
    written = as_before(tmp_path)
    del written["audio"]["config"]["normalize"]
    (tmp_path / "config.json").write_text(json.dumps(written))
    again, _ = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(**make_batch()).logits, earlier(**make_batch()).logits)
    save_model(again, tokenizer, tmp_path / "copy")
    assert not load_model(tmp_path / "copy")[0].audio_encoder.spectrogram.normalize


@pytest.mark.parametrize(
    ("written", "expected"),
    [(None, True), ({}, False), ({"audio": {"config": {}}}, False), ({"audio": {"config": {"normalize": True}}}, True)],
)
def test_a_run_goes_on_with_the_encoder_that_it_began_with(written: dict[str, Any] | None, expected: bool) -> None:
    model = build_model(ModelConfig(**RUN_MODEL), LABELS, PREPROCESSING, None, None, written)
    assert model.audio_encoder.spectrogram.normalize is expected
    chosen = ModelConfig.model_validate({**RUN_MODEL, "audio": {"config": {"normalize": not expected}}})
    other = build_model(chosen, LABELS, PREPROCESSING, None, None, written)
    assert other.audio_encoder.spectrogram.normalize is not expected


def test_a_speech_model_that_was_written_before_keeps_its_answers(
    make_model: Any, make_batch: Any, tokenizer: Any, tmp_path: Path
) -> None:
    model = make_model("hubert")
    save_model(model, tokenizer, tmp_path)
    written = as_before(tmp_path)
    assert written["audio"].pop("level_first") is True
    (tmp_path / "config.json").write_text(json.dumps(written))
    earlier, soft = load_model(tmp_path)[0], make_batch()
    soft["waveform"] *= 0.01
    assert not earlier.audio_encoder.level_first
    model.audio_encoder.level_first = False
    with torch.no_grad():
        assert torch.equal(earlier(**soft).logits, model(**soft).logits)
        model.audio_encoder.level_first = True
        assert not torch.equal(earlier(**soft).logits, model(**soft).logits)


@pytest.mark.parametrize(
    ("written", "expected"),
    [(None, True), ({}, False), ({"audio": {}}, False), ({"audio": {"level_first": True}}, True)],
)
def test_a_run_goes_on_with_the_speech_model_that_it_began_with(written: Any, expected: bool) -> None:
    section = {"kind": "wav2vec2", "config": SPEECH}
    config = ModelConfig.model_validate({**RUN_MODEL, "audio": section})
    model = build_model(config, LABELS, PREPROCESSING, None, None, written)
    assert model.audio_encoder.level_first is expected
    assert model.config.audio.get("level_first", False) is expected


def test_a_setting_that_was_added_has_a_meaning_where_it_is_absent() -> None:
    made: list[dict[str, Any]] = []

    def make(**keywords: Any) -> Encoder:
        made.append(keywords)
        return Encoder()

    kind = OwnEncoder(make, added={"window": (10, 20)})
    kind.build({"config": {}}, {})
    kind.build({"config": kind.describe(EncoderConfig(), Context("model.audio", {}))["config"]}, {})
    assert made == [{"window": 10}, {"window": 20}]
    with pytest.raises(UserError, match="no pretrained form"):
        kind.describe(EncoderConfig(path="x"), Context("model.audio", {}))
