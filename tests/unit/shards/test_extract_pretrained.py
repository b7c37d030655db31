"""Directories of pretrained encoders, as a download leaves them, to feature shards: what transformers itself says.

The reference never touches this project's encoders: it decodes the shards' members and runs transformers' own models,
one sample at a time.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers
from numpy.typing import NDArray

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decode import decode_video
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.model import build_tokenizer
from launch.cli.main import main
from shards.verify import verify

HZ, SIZE = 5.0, 32
WIDTH: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SPEECH: dict[str, Any] = {
    **WIDTH,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


def save(folder: Path, speech: str, picture: str, words: str) -> dict[str, Any]:
    """Random weights of three families in their own directories; the same models, to be asked directly."""
    torch.manual_seed(3)
    t = transformers
    tokenizer = build_tokenizer(["do you have : forms ?", "do you have : forms ?"])
    vocabulary: dict[str, Any] = {"vocab_size": len(tokenizer), "pad_token_id": 0, "max_position_embeddings": 64}
    made: dict[str, Any] = {
        "audio": {
            "wav2vec2": lambda: t.Wav2Vec2Model(t.Wav2Vec2Config(**SPEECH)),
            "hubert": lambda: t.HubertModel(t.HubertConfig(**SPEECH)),
        }[speech](),
        "video": {
            "resnet": lambda: t.ResNetModel(
                t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
            ),
            "vit": lambda: t.ViTModel(t.ViTConfig(**WIDTH, image_size=SIZE, patch_size=16), add_pooling_layer=False),
        }[picture](),
        "text": {
            "bert": lambda: t.BertModel(t.BertConfig(**WIDTH, **vocabulary), add_pooling_layer=False),
            "roberta": lambda: t.RobertaModel(t.RobertaConfig(**WIDTH, **vocabulary), add_pooling_layer=False),
        }[words](),
    }
    for name, model in made.items():
        model.eval().save_pretrained(folder / name)
    (folder / "audio" / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    (folder / "video" / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))
    tokenizer.save_pretrained(folder / "text")
    return {**made, "tokenizer": tokenizer}


@torch.no_grad()
def reference(models: dict[str, Any], members: dict[str, bytes], duration: float) -> dict[str, NDArray[np.floating]]:
    """What transformers says of one sample's members."""
    found = {}
    wave, _ = soundfile.read(io.BytesIO(members["flac"]), dtype="float32")
    heard = torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))
    found["audio.npy"] = models["audio"](heard[None]).last_hidden_state[0].numpy()
    frames = torch.from_numpy(decode_video(members["mp4"], duration, HZ, 6.0, SIZE)).permute(0, 3, 1, 2).float() / 255
    scaled = (frames - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    seen = models["video"](scaled)
    pooled = isinstance(models["video"], transformers.ResNetModel)
    found["video.npy"] = (seen.pooler_output.flatten(1) if pooled else seen.last_hidden_state[:, 0]).numpy()
    if "txt" in members:
        tokens = models["tokenizer"](members["txt"].decode(), return_tensors="pt")
        words = models["text"](input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        found["text.npy"] = words.last_hidden_state[0].numpy()
    return found


@pytest.mark.parametrize(("speech", "picture", "words"), [("wav2vec2", "resnet", "bert"), ("hubert", "vit", "roberta")])
def test_extracted_features_are_what_transformers_says(
    packed_iemocap: Path, tmp_path: Path, speech: str, picture: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    models = save(tmp_path, speech, picture, words)
    kinds = {"audio": speech, "video": picture, "text": words}
    out = tmp_path / "features"
    settings = [f"model.{n}.{key}={v}" for n, k in kinds.items() for key, v in (("kind", k), ("path", tmp_path / n))]
    # The demo preset's small encoders have settings of their own, which a pretrained directory replaces.
    settings += [f"model.{name}.config={{}}" for name in kinds]
    settings += [f"data.image_size={SIZE}", f"data.video_hz={HZ}", "data.max_seconds=6", "data.max_tokens=32"]
    argv = [str(packed_iemocap), "--out", str(out), "--preset", "demo", "--dtype", "float32", "--batch", "3"]
    assert main(["extract", *argv, *settings]) == 0, capsys.readouterr().err
    assert verify(out) == []
    media, features = ShardDataset([packed_iemocap]), ShardDataset([out])
    assert features.features().keys() == kinds.keys()
    with SampleReader() as reader:
        for number, entry in enumerate(media.samples):
            stored = reader.read(features.ref(number))
            wanted = reference(models, reader.read(media.ref(number)), entry.sample.meta.duration)
            assert {name for name in stored if name.endswith(".npy")} == wanted.keys()
            for name, array in wanted.items():
                np.testing.assert_allclose(np.load(io.BytesIO(stored[name])), array, atol=2e-5, err_msg=name)
