"""Folders of pretrained weights in the layouts that versions of transformers write, and what is wrong with some."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from dual_hpc.errors import UserError
from tests.unit.model.encoders.test_kinds import features, inputs, make, same, written

LAYOUTS = ("preprocessor_config.json", "processor_config.json", "nested")
MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


def write_settings(folder: Path, layout: str, entry: str, values: dict[str, Any]) -> None:
    if layout == "preprocessor_config.json":
        (folder / layout).write_text(json.dumps(values))
    elif layout == "processor_config.json":
        (folder / layout).write_text(json.dumps({"processor_class": "Any", entry: values}))
    else:  # version 4 with a processor: names in one file, nested settings in the other
        (folder / "processor_config.json").write_text(json.dumps({"processor_class": "Any"}))
        (folder / "preprocessor_config.json").write_text(json.dumps({entry: values}))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["wav2vec2", "data2vec-audio", "whisper", "wav2vec2-bert", "parakeet"])
def test_another_sampling_rate_is_refused_in_every_layout(
    layout: str, kind: str, tokenizer: Any, tmp_path: Path
) -> None:
    written("audio", kind, tmp_path, tokenizer)
    write_settings(tmp_path, layout, "feature_extractor", {"sampling_rate": 8_000})
    with pytest.raises(UserError, match=r"model\.audio\.path: .* was trained on audio of 8000 Hz"):
        make("audio", tokenizer, kind=kind, path=str(tmp_path))


@pytest.mark.parametrize("layout", [*LAYOUTS, "video_preprocessor_config.json"])
@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2", "convnext", "swin", "videomae", "vjepa2"])
def test_the_scale_of_pictures_is_read_in_every_layout(layout: str, kind: str, tokenizer: Any, tmp_path: Path) -> None:
    clips = kind in ("videomae", "vjepa2")
    written("video", kind, tmp_path, tokenizer)
    values = {"image_mean": MEAN, "image_std": STD}
    if layout.startswith("video"):
        if not clips:
            pytest.skip("a layout of clips")
        (tmp_path / layout).write_text(json.dumps(values))
    else:
        write_settings(tmp_path, layout, "video_processor" if clips else "image_processor", values)
    encoder = make("video", tokenizer, kind=kind, path=str(tmp_path)).video_encoder
    assert (encoder.mean, encoder.std) == (MEAN, STD)


IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # what dinov2 has where nothing is said
SCALES: list[tuple[dict[str, Any], list[float], list[float]]] = [
    ({}, IMAGENET_MEAN, IMAGENET_STD),
    ({"size": 224, "crop_size": {"height": 224, "width": 224}}, IMAGENET_MEAN, IMAGENET_STD),
    ({"size": {"shortest_edge": 256}, "do_resize": False}, IMAGENET_MEAN, IMAGENET_STD),
    ({"image_mean": MEAN}, MEAN, IMAGENET_STD),
    ({"image_std": STD}, IMAGENET_MEAN, STD),
    ({"image_mean": 0.5, "image_std": 0.25}, [0.5] * 3, [0.25] * 3),
    ({"image_mean": MEAN, "image_std": STD, "do_normalize": False}, [0.0] * 3, [1.0] * 3),
    ({"image_mean": [2.0] * 3, "image_std": [4.0] * 3, "do_rescale": False}, [2 / 255] * 3, [4 / 255] * 3),
    # (2 x - 1 - 0.5) / 0.5 of x from 0 to 1, as ViViT and EfficientNet shift what they have scaled
    (
        {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 127.5, "offset": True},
        [0.75] * 3,
        [0.25] * 3,
    ),
    (
        {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 127.5, "rescale_offset": True},
        [0.75] * 3,
        [0.25] * 3,
    ),
    ({"image_mean": [0.0] * 3, "image_std": [0.5] * 3, "include_top": True}, [0.0] * 3, [0.25] * 3),
]


@pytest.mark.parametrize(("values", "mean", "std"), SCALES)
def test_the_scale_of_pictures_is_what_the_settings_come_to(
    values: dict[str, Any], mean: list[float], std: list[float], tokenizer: Any, tmp_path: Path
) -> None:
    written("video", "dinov2", tmp_path, tokenizer)
    write_settings(tmp_path, LAYOUTS[0], "", values)
    encoder = make("video", tokenizer, kind="dinov2", path=str(tmp_path)).video_encoder
    assert encoder.mean == pytest.approx(mean) and encoder.std == pytest.approx(std)


def test_vivit_sees_what_its_own_processor_shows(tokenizer: Any, tmp_path: Path) -> None:
    written("video", "vivit", tmp_path, tokenizer)
    own = transformers.VivitImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    own.save_pretrained(tmp_path)
    encoder = make("video", tokenizer, kind="vivit", path=str(tmp_path)).video_encoder
    pictures = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    theirs = own(list(pictures.permute(0, 2, 3, 1).numpy()), return_tensors="pt")["pixel_values"][0]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (encoder.mean, encoder.std))
    same((pictures.float() / 255 - mean) / std, theirs)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"do_flip_channel_order": True}, "do_flip_channel_order in .* pictures in BGR or grey are not made here"),
        ({"image_mean": [0.5]}, "must be three numbers each"),
        ({"image_mean": [0.5, "x", 0.5]}, "must be three numbers each"),
        ({"image_std": 0}, "must be three numbers each"),
        ({"image_std": [0.5, 0.5, float("nan")]}, "not a model directory|three numbers each"),
        ({"rescale_factor": 0}, "must be three numbers each"),
        ({"rescale_factor": "1/255"}, "must be three numbers each"),
        ({"image_mean": True}, "must be three numbers each"),
    ],
)
def test_settings_that_make_no_scale_are_refused(
    values: dict[str, Any], said: str, tokenizer: Any, tmp_path: Path
) -> None:
    written("video", "dinov2", tmp_path, tokenizer)
    write_settings(tmp_path, LAYOUTS[0], "", values)
    with pytest.raises(UserError, match=said):
        make("video", tokenizer, kind="dinov2", path=str(tmp_path))


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper"])
@pytest.mark.parametrize("rate", [8_000, 48_000, "16000", True, None, 16_000.0])
def test_a_rate_that_is_not_ours_is_refused_however_it_is_written(
    kind: str, rate: Any, tokenizer: Any, tmp_path: Path
) -> None:
    written("audio", kind, tmp_path, tokenizer)
    write_settings(tmp_path, LAYOUTS[1], "feature_extractor", {"sampling_rate": rate})
    if rate in (None, 16_000.0):
        make("audio", tokenizer, kind=kind, path=str(tmp_path))
        return
    with pytest.raises(UserError, match=r"was trained on audio of .* Hz \(processor_config.json\)"):
        make("audio", tokenizer, kind=kind, path=str(tmp_path))


@pytest.mark.parametrize("named", ["SpeechT5FeatureExtractor", "ASTFeatureExtractor", 3])
def test_a_waveform_model_with_another_feature_extractor_is_refused(named: Any, tokenizer: Any, tmp_path: Path) -> None:
    written("audio", "hubert", tmp_path, tokenizer)
    write_settings(tmp_path, LAYOUTS[0], "", {"feature_extractor_type": named})
    with pytest.raises(UserError, match=f"wants the input of {named}; known is Wav2Vec2FeatureExtractor"):
        make("audio", tokenizer, kind="hubert", path=str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "whole", "entry"), [("clip", "CLIP", "vision_config"), ("siglip", "Siglip", "vision_config")]
)
def test_the_vision_half_of_a_model_of_pictures_and_words_is_found(
    kind: str, whole: str, entry: str, tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    vision = {**small, "image_size": 32, "patch_size": 8}
    config = getattr(transformers, f"{whole}Config")(
        **{
            entry: vision,
            "text_config": {**small, "vocab_size": 20, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
        }
    )
    model = getattr(transformers, f"{whole}Model")(config).eval()
    model.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        encoder = make("video", tokenizer, kind=kind, path=str(tmp_path)).video_encoder
    assert any("are not part of this encoder" in line and "text_model" in line for line in caplog.messages)
    theirs = model.vision_model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in encoder.backbone.state_dict().items())
    content, lengths = inputs("video", slice(0, 1))
    scaled = (content[0].float() / 255 - torch.tensor(encoder.mean).view(3, 1, 1)) / torch.tensor(encoder.std).view(
        3, 1, 1
    )
    with torch.no_grad():
        same(features(encoder, "video", content, lengths)[0], model.vision_model(pixel_values=scaled).pooler_output)


HEADS = [
    ("audio", "wav2vec2", "Wav2Vec2ForCTC"),
    ("audio", "data2vec-audio", "Data2VecAudioForCTC"),
    ("audio", "whisper", "WhisperForConditionalGeneration"),
    ("audio", "wav2vec2-bert", "Wav2Vec2BertForCTC"),
    ("video", "dinov2", "Dinov2ForImageClassification"),
    ("video", "convnext", "ConvNextForImageClassification"),
    ("video", "swin", "SwinForImageClassification"),
    ("video", "videomae", "VideoMAEForPreTraining"),
    ("text", "deberta-v2", "DebertaV2ForMaskedLM"),
    ("text", "modernbert", "ModernBertForMaskedLM"),
    ("text", "xlm-roberta", "XLMRobertaForSequenceClassification"),
    ("text", "qwen3", "Qwen3ForCausalLM"),
    ("text", "gpt2", "GPT2LMHeadModel"),
]


@pytest.mark.parametrize(("modality", "kind", "name"), HEADS)
def test_a_folder_of_a_model_with_a_head_lacks_nothing(
    modality: str, kind: str, name: str, tokenizer: Any, tmp_path: Path
) -> None:
    config = getattr(make(modality, tokenizer, kind=kind).config, modality)["config"]
    made = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(
        {**config, "vocab_size": config.get("vocab_size") or 20}
    )
    torch.manual_seed(3)
    model = getattr(transformers, name)(made)
    model.save_pretrained(tmp_path)
    if modality == "text":
        tokenizer.save_pretrained(tmp_path)
    encoder = getattr(make(modality, tokenizer, kind=kind, path=str(tmp_path)), f"{modality}_encoder")
    theirs = model.state_dict()
    ends = {
        key: [name for name in theirs if name == key or name.endswith(f".{key}")]
        for key in encoder.backbone.state_dict()
    }
    for key, value in encoder.backbone.state_dict().items():
        assert any(torch.equal(value, theirs[name]) for name in ends[key]), key


def test_the_encoder_of_a_speech_recogniser_is_found(tokenizer: Any, tmp_path: Path) -> None:
    config = make("audio", tokenizer, kind="parakeet").config.audio["config"]
    whole = transformers.ParakeetCTCConfig(encoder_config=config, vocab_size=20, pad_token_id=0)
    model = transformers.ParakeetForCTC(whole)
    model.save_pretrained(tmp_path)
    theirs = model.encoder.state_dict()
    for kind in ("parakeet", "auto"):
        encoder = make("audio", tokenizer, kind=kind, path=str(tmp_path)).audio_encoder
        assert all(torch.equal(value, theirs[name]) for name, value in encoder.backbone.state_dict().items())


def test_missing_weights_are_counted_and_unused_ones_told(
    tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written("text", "xlm-roberta", tmp_path, tokenizer)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(UserError, match=r"the weights in .* lack encoder\.layer\.2\..* and 15 more"):
        make("text", tokenizer, kind="xlm-roberta", path=str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with caplog.at_level(logging.WARNING):
        make("text", tokenizer, kind="xlm-roberta", path=str(tmp_path))
    assert any("18 of the weights in" in line and "(encoder, pooler)" in line for line in caplog.messages)


def test_longer_clips_than_whisper_hears_are_refused(tokenizer: Any, tmp_path: Path) -> None:
    written("audio", "whisper", tmp_path, tokenizer)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "max_source_positions": 100}))
    with pytest.raises(UserError, match=r"data\.max_seconds=6: this audio encoder hears at most 2"):
        make("audio", tokenizer, kind="whisper", path=str(tmp_path))


def test_a_feature_extractor_that_is_not_known_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    written("audio", "whisper", tmp_path, tokenizer)
    write_settings(tmp_path, LAYOUTS[0], "", {"feature_extractor_type": "ASTFeatureExtractor"})
    with pytest.raises(UserError, match="wants the input of ASTFeatureExtractor; known are WhisperFeatureExtractor"):
        make("audio", tokenizer, kind="whisper", path=str(tmp_path))


def test_another_model_is_refused_by_auto(tokenizer: Any, tmp_path: Path) -> None:
    written("text", "bert", tmp_path, tokenizer)
    with pytest.raises(UserError, match=r"model\.audio\.kind=auto: 'bert' does not encode audio here"):
        make("audio", tokenizer, kind="auto", path=str(tmp_path))


@pytest.mark.parametrize("further", [{}, {"model_type": "timm_wrapper"}])
def test_a_folder_of_timm_is_refused_in_one_line(tokenizer: Any, tmp_path: Path, further: dict[str, str]) -> None:
    content = {"architecture": "efficientnet_b0", "num_features": 1280, "pretrained_cfg": {"input_size": [3, 224, 224]}}
    (tmp_path / "config.json").write_text(json.dumps({**content, **further}))
    with pytest.raises(UserError, match=r"model\.video\.path: .* holds 'efficientnet_b0' as timm saves it") as refused:
        make("video", tokenizer, kind="auto", path=str(tmp_path))
    assert "\n" not in str(refused.value)
