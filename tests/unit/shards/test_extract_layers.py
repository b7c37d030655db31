"""`extract --layers` and `--precision`: several layers side by side, and what half precision changes is told."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from dual_hpc.config import load_config
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import feature_source
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.inference.packed import PackedPredictor
from dual_hpc.model import build_model, load_model, save_model
from dual_hpc.model.encoders.origin import load_encoders, recorded_encoders, save_encoders
from dual_hpc.model_manifest import write_manifest
from dual_hpc.training.shard_config import config_for_shards
from launch.cli.main import main

SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SPEECH: dict[str, Any] = {
    **SMALL,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    torch.manual_seed(0)
    transformers.HubertModel(transformers.HubertConfig(**SPEECH)).save_pretrained(tmp_path / "audio")
    vision = transformers.CLIPVisionConfig(**SMALL, image_size=32, patch_size=8)
    transformers.CLIPVisionModel(vision).save_pretrained(tmp_path / "video")
    kinds = {"audio": "hubert", "video": "auto"}
    found = [f"model.{n}.{key}={v}" for n, k in kinds.items() for key, v in (("kind", k), ("path", tmp_path / n))]
    return [*found, "model.audio.config={}", "model.video.config={}", "model.use_text=false", "data.image_size=32"]


def stored(folder: Path) -> dict[str, dict[str, NDArray[np.floating]]]:
    found, shard_set = {}, ShardDataset([folder])
    with SampleReader() as reader:
        for number, entry in enumerate(shard_set.samples):
            members = reader.read(shard_set.ref(number))
            arrays = {name: np.load(io.BytesIO(data)) for name, data in members.items() if name.endswith(".npy")}
            found[entry.sample.meta.key] = arrays
    return found


def run(packed: Path, out: Path, settings: list[str], *words: str) -> int:
    return main(
        ["extract", str(packed), "--out", str(out), "--preset", "demo", "--dtype", "float32", *words, *settings]
    )


def test_layers_lie_side_by_side_and_a_model_on_them_mixes(
    packed_iemocap: Path, tmp_path: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(packed_iemocap, tmp_path / "all", settings, "--layers", "all") == 0, capsys.readouterr().err
    assert run(packed_iemocap, tmp_path / "some", settings, "--layers", "0,2") == 0
    every, some = stored(tmp_path / "all"), stored(tmp_path / "some")
    for key, arrays in every.items():
        for name, array in arrays.items():
            assert array.shape[1] == 48
            np.testing.assert_array_equal(some[key][name], np.concatenate([array[:, :16], array[:, 32:]], axis=1))
    shards = ShardDataset([tmp_path / "all"])
    source = feature_source(shards)
    assert source is not None and {d["layers"] for d in source.encoders.values()} == {3}
    config = config_for_shards(load_config("demo", ["model.use_text=false"]), shards)
    model = build_model(config.model, ["a", "b"], source.preprocessing, None, None)
    assert model.audio_encoder.output_size == 16 and model.audio_encoder.mix.scores.requires_grad
    assert run(packed_iemocap, tmp_path / "wrong", settings, "--layers", "0,5") == 2
    assert "--layers: audio: this encoder has layers 1 to 2" in capsys.readouterr().err


def answered(model: Path, shards: Path) -> dict[str, list[float]]:
    found = PackedPredictor(model, [shards], "cpu").records()
    return {row["input"]: list(row["probabilities"].values()) for row in found}


@pytest.mark.parametrize("layers", ["all", "2,0", "1"])
def test_a_model_of_several_layers_answers_media_with_these_layers_in_front(
    layers: str, packed_iemocap: Path, tmp_path: Path, settings: list[str]
) -> None:
    features, model = tmp_path / "features", tmp_path / "model"
    assert run(packed_iemocap, features, settings, "--layers", layers) == 0
    shards = ShardDataset([features])
    source = feature_source(shards)
    assert source is not None
    config = config_for_shards(load_config("demo", ["model.use_text=false"]), shards)
    torch.manual_seed(3)
    made = build_model(config.model, ["a", "b"], source.preprocessing, None, None, feature_encoders=source.origin)
    for name in ("audio", "video"):
        if (mix := getattr(made, f"{name}_encoder").mix) is not None:
            torch.nn.init.normal_(mix.scores, std=2.0)  # as learned
    save_model(made, None, model)
    expected = answered(model, features)
    assert len(expected) > 3 and len({tuple(row) for row in expected.values()}) > 1

    def check(folder: Path) -> None:
        found = answered(folder, packed_iemocap)
        assert found.keys() == expected.keys()
        assert all(found[key] == pytest.approx(row, abs=1e-4) for key, row in expected.items())

    check(model)
    record = recorded_encoders(load_model(model)[0].config.to_dict(), model)
    save_encoders(load_encoders(record, ("audio", "video"), model, load_model), model)
    write_manifest(model)
    for name in ("audio", "video"):
        (tmp_path / name).rename(tmp_path / f"{name}-away")
    check(model)


def test_half_precision_is_near_and_said_to_be(
    packed_iemocap: Path, tmp_path: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(packed_iemocap, tmp_path / "full", settings) == 0
    capsys.readouterr()
    assert run(packed_iemocap, tmp_path / "half", settings, "--precision", "bf16") == 0
    told = dict(re.findall(r"(\w+): bf16 differs from fp32 by ([\d.]+)%", capsys.readouterr().out))
    assert told.keys() == {"audio", "video"} and all(0 < float(share) < 5 for share in told.values())
    full, half = stored(tmp_path / "full"), stored(tmp_path / "half")
    for key, arrays in full.items():
        for name, array in arrays.items():
            assert 0 < np.abs(array - half[key][name]).max() < 0.2 * np.abs(array).max()
    assert (
        ShardDataset([tmp_path / "full"]).options[0]["audio_encoder"]
        != ShardDataset([tmp_path / "half"]).options[0]["audio_encoder"]
    )
