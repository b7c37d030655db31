"""No file of a model makes anything be downloaded, run, or grow beyond the weights beside it."""

from __future__ import annotations

import builtins
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import UserError
from dual_hpc.model import build_model, load_model, load_tokenizer, save_model
from dual_hpc.model.self_contained import first_danger
from dual_hpc.model_manifest import KEY, MANIFEST
from tests.unit.model.conftest import PREPROCESSING

from transformers import Wav2Vec2Config, Wav2Vec2Model  # isort: skip  (after the torchaudio stub)

SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SPEECH: dict[str, Any] = {
    **SMALL,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}

REFUSED: dict[str, Any] = {
    "attn_implementation": "user/repo",
    "_attn_implementation": "user/repo:kernel",
    "_attn_implementation_internal": "kernels-community/flash-attn",
    "experts_implementation": {"": "user/repo"},
    "quantization_config": {"quant_method": "gptq", "bits": 4},
    "hidden_size": 10**15,
    "num_hidden_layers": 10**6,
    "vocab_size": 10**400,
    "conv_dim": [10**9] * 7,
    "layer_norm_eps": float("nan"),
    "initializer_range": float("inf"),
}
IGNORED: dict[str, Any] = {
    "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "user/repo--evil.Model"},
    "trust_remote_code": True,
    "_name_or_path": "user/repo",
    "base_model_name_or_path": "user/repo",
    "custom_pipelines": {"x": {"impl": "evil.Pipe"}},
}


@pytest.fixture(autouse=True)
def no_network_and_no_foreign_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever asks for a connection or imports `evil` fails the test, also where its error is caught."""
    asked: list[object] = []
    original = builtins.__import__

    def connect(*arguments: object, **options: object) -> None:
        asked.append(arguments)
        raise OSError("no network")

    def watched(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith(("evil", "kernels")) or "transformers_modules" in name:
            asked.append(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    monkeypatch.setattr(builtins, "__import__", watched)
    yield
    assert not asked


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(**SPEECH)).save_pretrained(folder)
    (folder / "evil.py").write_text("raise SystemExit('ran')\n")
    return folder


def copied(folder: Path, target: Path, **changes: Any) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        os.link(file, target / file.name)
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    (target / "config.json").unlink()
    (target / "config.json").write_text(json.dumps(config))
    return target


def _without_proof(folder: Path) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({name: value for name, value in config.items() if name != KEY}))
    return folder


def encoder_of(folder: Path, **config: Any) -> Any:
    section = {"kind": "wav2vec2", "path": str(folder), "config": config}
    model = ModelConfig.model_validate(
        {"audio": section, "use_video": False, "use_text": False, "hidden_size": 16, "num_heads": 2}
    )
    return build_model(model, ["a", "b"], PREPROCESSING, None, None)


@pytest.mark.parametrize(("key", "value"), REFUSED.items(), ids=REFUSED)
def test_a_pretrained_directory_that_is_not_complete_is_refused(
    key: str, value: Any, pretrained: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"model\.audio\.path.*" + key):
        encoder_of(copied(pretrained, tmp_path / "a", **{key: value}))


@pytest.mark.parametrize(("key", "value"), IGNORED.items(), ids=IGNORED)
def test_what_only_the_auto_classes_read_changes_nothing(
    key: str, value: Any, pretrained: Path, tmp_path: Path
) -> None:
    with torch.no_grad():
        expected, found = encoder_of(pretrained), encoder_of(copied(pretrained, tmp_path / "a", **{key: value}))
    for name, weight in expected.audio_encoder.state_dict().items():
        assert torch.equal(weight, found.audio_encoder.state_dict()[name])


@pytest.mark.parametrize(("key", "value"), REFUSED.items(), ids=REFUSED)
def test_a_saved_model_and_the_user_s_own_settings_are_held_to_the_same(
    key: str, value: Any, pretrained: Path, tmp_path: Path
) -> None:
    save_model(encoder_of(pretrained), None, tmp_path / "saved")
    audio = json.loads((tmp_path / "saved" / "config.json").read_text())["audio"]
    nested = {**audio, "config": {**audio["config"], key: value}}
    for number, changes in enumerate(({key: value}, {"audio": nested})):
        folder = copied(tmp_path / "saved", tmp_path / str(number), **changes)
        (folder / MANIFEST).unlink()  # whoever sends such a model proves it as well, or names no manifest
        with pytest.raises(UserError):
            load_model(_without_proof(folder))
    with pytest.raises(UserError, match=r"model\.audio\.config.*" + key):
        encoder_of(pretrained, **{key: value})


def test_an_adapter_is_no_model(pretrained: Path, tmp_path: Path) -> None:
    folder = copied(pretrained, tmp_path / "a")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "user/repo"}))
    with pytest.raises(UserError, match="adapter_config"):
        encoder_of(folder)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_pipe_in_a_pretrained_directory_is_not_waited_for(name: str, pretrained: Path, tmp_path: Path) -> None:
    folder = copied(pretrained, tmp_path / "a")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match=name):
        encoder_of(folder)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", [{"auto_map": {"AutoTokenizer": ["evil.T", None]}, "tokenizer_class": "T"}, {}])
def test_a_tokenizer_brings_no_code(content: dict[str, Any], tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="tokenizer"):
        load_tokenizer(tmp_path)
    os.mkfifo(tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match="named pipe"):
        load_tokenizer(tmp_path)


def test_a_usual_configuration_is_not_dangerous() -> None:
    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "vocab_size": 250_002}
    assert first_danger({**large, "max_position_embeddings": 514}, 2 * 560_000_000) is None
    assert first_danger({"attn_implementation": "sdpa", "quantization_config": None, "id2label": {"0": "a/b"}}) is None
    assert first_danger({"hidden_size": 50_000, "num_hidden_layers": 900}, 10**6) is not None
