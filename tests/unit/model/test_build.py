"""From the configuration of a run to a model, pretrained directories included."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from dual_hpc.errors import UserError
from dual_hpc.model import load_model, load_tokenizer, save_model
from dual_hpc.model.encoders.frozen_norm import FrozenBatchNorm

SPEECH: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
RESNET: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}


@pytest.fixture
def pretrained(tmp_path: Path, tokenizer: Any) -> dict[str, Path]:
    """Directories as a download would leave them: pretraining heads, SpecAugment and LayerDrop on."""
    torch.manual_seed(1)
    t = transformers
    wav = t.Wav2Vec2Config(**SPEECH, layerdrop=0.5, mask_time_prob=0.5, codevector_dim=16, proj_codevector_dim=16)
    resnet = t.ResNetModel(t.ResNetConfig(**RESNET))
    for name, buffer in resnet.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    models = {
        "audio": t.Wav2Vec2ForPreTraining(wav),
        "video": resnet,
        "text": t.BertForMaskedLM(t.BertConfig(**SMALL, vocab_size=len(tokenizer), max_position_embeddings=32)),
    }
    for name, model in models.items():
        model.save_pretrained(tmp_path / name)
    (tmp_path / "audio" / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    scale = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "video" / "preprocessor_config.json").write_text(json.dumps(scale))
    return {name: tmp_path / name for name in models}


def sections(folders: dict[str, Path], trainable: Any = "all") -> dict[str, Any]:
    kinds = {"audio": "wav2vec2", "video": "resnet", "text": "bert"}
    return {name: {"kind": kinds[name], "path": str(folders[name]), "trainable": trainable} for name in kinds}


def test_pretrained_weights_and_input_settings_arrive(pretrained: dict[str, Path], make_model: Any) -> None:
    model = make_model(**sections(pretrained))
    theirs = transformers.Wav2Vec2Model.from_pretrained(pretrained["audio"]).state_dict()
    ours = model.audio_encoder.backbone.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert not model.audio_encoder.normalize
    assert model.video_encoder.mean == [0.1, 0.2, 0.3]
    assert model.audio_encoder.backbone.config.layerdrop == 0
    assert model.config.text["config"]["max_position_embeddings"] == 32


def test_a_pretrained_resnet_gives_what_transformers_gives(
    pretrained: dict[str, Path], make_model: Any, make_batch: Any
) -> None:
    encoder, batch = make_model(**sections(pretrained)).video_encoder, make_batch(("", ""))
    theirs = transformers.ResNetModel.from_pretrained(pretrained["video"]).eval()
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    picture = (batch["frames"][1, :1].float() / 255 - mean) / std
    with torch.no_grad():
        features = encoder.train()(batch["frames"], batch["frame_lengths"])
        torch.testing.assert_close(features[1, :1], theirs(picture).pooler_output.flatten(1), atol=1e-5, rtol=1e-4)
    assert any(isinstance(part, FrozenBatchNorm) for part in encoder.modules())


def test_a_saved_model_does_not_ask_for_the_pretrained_directories(
    pretrained: dict[str, Path], make_model: Any, make_batch: Any, tokenizer: Any, tmp_path: Path
) -> None:
    model, batch = make_model(**sections(pretrained)), make_batch()
    for folder in pretrained.values():
        shutil.rmtree(folder)
    save_model(model, tokenizer, tmp_path / "saved")
    again, _ = load_model(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, again(**batch).logits)
    assert str(tmp_path) not in (tmp_path / "saved" / "config.json").read_text()


def test_trainable_counts_layers_from_the_top(pretrained: dict[str, Path], make_model: Any, make_batch: Any) -> None:
    model = make_model(**sections(pretrained, trainable=1)).train()
    free = {name for name, p in model.named_parameters() if p.requires_grad and "backbone" in name}
    tops = ("encoder.layers.2.", "encoder.layer_norm.", "encoder.stages.1.", "encoder.layer.1.")
    assert free and all(any(top in name for top in tops) for name in free)
    assert {top for top in tops if any(top in name for name in free)} == set(tops)
    model(**make_batch()).loss.backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} >= free
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_a_frozen_encoder_is_not_trained_and_has_no_dropout(
    pretrained: dict[str, Path], make_model: Any, make_batch: Any
) -> None:
    model, batch = make_model(**sections(pretrained, trainable="none")).train(), make_batch()
    for encoder in (model.audio_encoder, model.video_encoder, model.text_encoder):
        assert not any(p.requires_grad for p in encoder.parameters())
        assert not any(part.training for part in encoder.modules())
    assert model.decoder.training
    one = model.audio_encoder(batch["waveform"], batch["waveform_lengths"])[0]
    assert torch.equal(one, model.audio_encoder(batch["waveform"], batch["waveform_lengths"])[0])
    model(**batch).loss.backward()


BAD = [
    ({"audio": {"kind": "logmel", "path": "/somewhere"}}, "model.audio.path"),
    ({"audio": {"kind": "logmel", "config": {"chanels": 3}}}, "model.audio.config"),
    ({"audio": {"kind": "wav2vec2", "path": "/nowhere"}}, "model.audio.path"),
    ({"audio": {"kind": "wav2vec2", "config": {"hidden_size": 15, "num_attention_heads": 4}}}, "model.audio"),
    ({"video": {"kind": "resnet", "config": {"grid": "x"}}}, "model.video.config"),
    ({"video": {"kind": "resnet", "trainable": 9}}, "model.video.trainable"),
    ({"text": {"kind": "bert", "config": {"max_position_embeddings": 4}}}, "data.max_tokens"),
    ({"text": {"kind": "bert", "config": {"vocab_size": 3}}}, "model.text"),
    ({"hidden_size": 18, "num_heads": 4}, "model.num_heads"),
    ({"text": {"kind": "bert", "config": {"hidden_size": "wide"}}}, "model.text.config: Validation error"),
    ({"text": {"kind": "bert", "config": {"hidden_act": "sigh"}}}, "model.text.config: unknown: 'sigh'"),
    ({"text": {"kind": "roberta", "config": {"num_attention_heads": 0}}}, "model.text.config"),
    ({"audio": {"kind": "hubert", "config": {"conv_dim": [-4] * 7}}}, "model.audio.config"),
    ({"video": {"kind": "vit", "config": {"patch_size": 0}}}, "model.video.config"),
]


@pytest.mark.parametrize(("settings", "setting"), BAD)
def test_a_setting_that_makes_no_model_is_named_in_one_line(
    settings: dict[str, Any], setting: str, make_model: Any
) -> None:
    with pytest.raises(UserError) as failure:
        make_model(**settings)
    assert setting in str(failure.value) and "\n" not in str(failure.value)


def test_another_kind_of_model_in_the_directory_is_named(pretrained: dict[str, Path], make_model: Any) -> None:
    with pytest.raises(UserError, match="'bert'"):
        make_model(audio={"kind": "wav2vec2", "path": str(pretrained["text"])})


@pytest.mark.parametrize("name", ["audio", "video", "text"])
def test_a_download_that_broke_off_is_the_user_s_to_repeat(
    name: str, pretrained: dict[str, Path], make_model: Any
) -> None:
    weights = pretrained[name] / "model.safetensors"
    whole = weights.read_bytes()
    for left in (0, 5, 2_000, len(whole) - 1):
        weights.write_bytes(whole[:left])
        with pytest.raises(UserError, match=rf"model\.{name}\.path: no usable weights in") as failure:
            make_model(**{name: sections(pretrained)[name]})
        assert "\n" not in str(failure.value)


class Boom:
    """Unpickled as its own argument: a file is made."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return Path.touch, (self.made,)


def test_weights_of_torch_s_own_format_are_read_and_nothing_else_is_unpickled(
    pretrained: dict[str, Path], make_model: Any, tmp_path: Path
) -> None:
    section = {"audio": sections(pretrained)["audio"]}
    expected = make_model(**section).state_dict()
    (pretrained["audio"] / "model.safetensors").unlink()
    weights = pretrained["audio"] / "pytorch_model.bin"
    state = {f"wav2vec2.{n.removeprefix('audio_encoder.backbone.')}": p for n, p in expected.items() if "backbone" in n}
    torch.save(state, weights)
    read = make_model(**section).state_dict()
    assert all(torch.equal(value, read[name]) for name, value in expected.items())
    torch.save({**state, "boom": Boom(tmp_path / "boom")}, weights)
    poisoned, legacy = weights.read_bytes(), pickle.dumps(Boom(tmp_path / "boom"))
    for content in (poisoned, legacy, poisoned[:2_000], b"", b"<html>not found</html>"):
        weights.write_bytes(content)
        with pytest.raises(UserError, match=r"model\.audio\.path: no usable weights in") as failure:
            make_model(**section)
        assert "\n" not in str(failure.value) and "weights_only" not in str(failure.value)
    assert not (tmp_path / "boom").exists()


def test_weights_of_another_size_are_named(pretrained: dict[str, Path], make_model: Any) -> None:
    section = {**sections(pretrained)["text"], "config": {"intermediate_size": 64}}
    with pytest.raises(UserError, match=r"model\.text\.path: encoder\.layer\.0\..* is of size \[32\]") as failure:
        make_model(text=section)
    assert "\n" not in str(failure.value)


def test_what_transformers_leaves_out_is_not_listed_in_the_log(
    pretrained: dict[str, Path], make_model: Any, capfd: Any
) -> None:
    make_model(**sections(pretrained))
    said = capfd.readouterr()
    assert "UNEXPECTED" not in said.out + said.err


def test_pictures_that_were_not_scaled_in_pretraining_are_not_scaled(
    pretrained: dict[str, Path], make_model: Any
) -> None:
    settings = pretrained["video"] / "preprocessor_config.json"
    settings.write_text(json.dumps({"do_normalize": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    encoder = make_model(video=sections(pretrained)["video"]).video_encoder
    assert encoder.mean == [0, 0, 0] and encoder.std == [1, 1, 1]


def rewrite(folder: Path, processor: Any) -> None:
    """The input settings as transformers itself writes them, and nothing of what was there before."""
    (folder / "preprocessor_config.json").unlink()
    processor.save_pretrained(folder)


def feature_extractor(**settings: Any) -> Any:
    return transformers.Wav2Vec2FeatureExtractor(**{"do_normalize": False, **settings})


def image_processor(**settings: Any) -> Any:
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    return ViTImageProcessorPil(**{"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], **settings})


def speech_processor(folder: Path, **settings: Any) -> Any:
    (folder / "vocab.json").write_text(json.dumps({"<pad>": 0, "<unk>": 1, "|": 2, "a": 3, "<s>": 4, "</s>": 5}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    return transformers.Wav2Vec2Processor(feature_extractor(**settings), tokenizer)


def test_the_nested_settings_of_a_processor_are_those_of_its_parts(
    pretrained: dict[str, Path], make_model: Any, tokenizer: Any
) -> None:
    rewrite(pretrained["audio"], speech_processor(pretrained["audio"]))
    rewrite(pretrained["video"], transformers.VisionTextDualEncoderProcessor(image_processor(), tokenizer))
    for name in ("audio", "video"):
        assert (pretrained[name] / "processor_config.json").exists()
        assert not (pretrained[name] / "preprocessor_config.json").exists()
    model = make_model(**sections(pretrained))
    assert not model.audio_encoder.normalize
    assert (model.video_encoder.mean, model.video_encoder.std) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert load_tokenizer(pretrained["video"]).get_vocab() == tokenizer.get_vocab()


def test_nested_settings_come_first_and_a_processor_without_them_is_of_an_earlier_version(
    pretrained: dict[str, Path], make_model: Any
) -> None:
    processor = pretrained["audio"] / "processor_config.json"
    assert not make_model(**sections(pretrained)).audio_encoder.normalize
    processor.write_text(json.dumps({"processor_class": "Wav2Vec2Processor"}))
    assert not make_model(**sections(pretrained)).audio_encoder.normalize
    for entry in ("feature_extractor", "audio_processor"):
        processor.write_text(json.dumps({entry: {"do_normalize": True}}))
        assert make_model(**sections(pretrained)).audio_encoder.normalize
        assert transformers.Wav2Vec2FeatureExtractor.from_pretrained(pretrained["audio"]).do_normalize


@pytest.mark.parametrize(
    "settings",
    [
        {"rescale_factor": 1 / 127.5},
        {"do_rescale": False},
        {"do_normalize": False},
        {"do_normalize": False, "rescale_factor": 1 / 127.5},
        {"do_rescale": False, "do_normalize": False},
    ],
)
def test_pictures_are_scaled_as_transformers_scales_them(
    settings: dict[str, Any], pretrained: dict[str, Path], make_model: Any
) -> None:
    processor = image_processor(do_resize=False, **settings)
    rewrite(pretrained["video"], processor)
    encoder = make_model(video=sections(pretrained)["video"]).video_encoder
    picture = torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8)
    theirs = torch.as_tensor(
        processor(picture.numpy(), return_tensors="pt", input_data_format="channels_first").pixel_values
    )[0]
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (encoder.mean, encoder.std))
    torch.testing.assert_close((picture.float() / 255 - mean) / std, theirs.float(), atol=1e-4, rtol=1e-5)


def test_a_model_of_another_sample_rate_is_the_user_s_mistake(pretrained: dict[str, Path], make_model: Any) -> None:
    rewrite(pretrained["audio"], feature_extractor(sampling_rate=8_000))
    with pytest.raises(UserError, match=r"model\.audio\.path: .* 8000 Hz \(preprocessor_config\.json\)"):
        make_model(**sections(pretrained))


@pytest.mark.parametrize("name", ["audio", "video"])
@pytest.mark.parametrize("entry", [3, [], "x"])
def test_a_nested_entry_that_is_no_object_is_named(
    name: str, entry: Any, pretrained: dict[str, Path], make_model: Any
) -> None:
    content = {"feature_extractor": entry, "image_processor": entry}
    (pretrained[name] / "processor_config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"model\.{name}\.path: .*processor_config\.json is not a JSON object"):
        make_model(**sections(pretrained))


@pytest.mark.parametrize(
    "content",
    [
        {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 0},
        {"rescale_factor": "x"},
        {"image_mean": 0.5, "image_std": 0},
        {"image_mean": True, "image_std": 0.5},
        {"image_mean": [0.5], "image_std": [0.5]},
        {"image_mean": ["x"] * 3, "image_std": [1] * 3},
        {"image_mean": [0.5] * 3, "image_std": [0.5, 0.5, 0]},
        {"image_mean": [float("nan")] * 3, "image_std": [1] * 3},
    ],
)
def test_a_scale_that_is_none_is_named(content: dict[str, Any], pretrained: dict[str, Path], make_model: Any) -> None:
    (pretrained["video"] / "preprocessor_config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"model\.video\.path: .*preprocessor_config\.json"):
        make_model(video=sections(pretrained)["video"])


def test_a_directory_without_weights_is_the_user_s_mistake(pretrained: dict[str, Path], make_model: Any) -> None:
    (pretrained["video"] / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.video\.path") as failure:
        make_model(**sections(pretrained))
    assert "\n" not in str(failure.value)
