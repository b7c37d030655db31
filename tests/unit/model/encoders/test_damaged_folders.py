"""Folders of weights that are incomplete, damaged, or meant to do harm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.errors import UserError
from dual_hpc.model.tokenizer import load_tokenizer
from tests.unit.model.encoders.test_kinds import make, written


def test_weights_in_pieces_are_put_together(tokenizer: Any, tmp_path: Path) -> None:
    theirs = written("audio", "wav2vec2", tmp_path, tokenizer)
    (tmp_path / "model.safetensors").unlink()
    theirs.save_pretrained(tmp_path, max_shard_size="300KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    encoder = make("audio", tokenizer, kind="wav2vec2", path=str(tmp_path)).audio_encoder
    expected = theirs.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in encoder.backbone.state_dict().items())
    sorted(tmp_path.glob("*.safetensors"))[0].unlink()
    with pytest.raises(UserError, match=r"model\.audio\.path: no usable weights in"):
        make("audio", tokenizer, kind="wav2vec2", path=str(tmp_path))


def test_truncated_weights_are_refused(tokenizer: Any, tmp_path: Path) -> None:
    written("text", "roberta", tmp_path, tokenizer)
    file = tmp_path / "model.safetensors"
    for size in (file.stat().st_size - 7, 100, 4, 0):
        file.write_bytes(file.read_bytes()[:size])
        with pytest.raises(UserError, match=r"model\.text\.path: no usable weights in|many times larger than"):
            make("text", tokenizer, kind="roberta", path=str(tmp_path))


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("harmful", [True, False])
def test_of_a_pickle_of_weights_nothing_but_tensors_is_read(harmful: bool, tokenizer: Any, tmp_path: Path) -> None:
    theirs = written("text", "bert", tmp_path, tokenizer)
    (tmp_path / "model.safetensors").unlink()
    weights = theirs.state_dict()
    torch.save({**weights, "more": Harmful(tmp_path / "ran")} if harmful else weights, tmp_path / "pytorch_model.bin")
    if harmful:
        with pytest.raises(UserError, match=r"model\.text\.path: no usable weights in .* more than weights"):
            make("text", tokenizer, kind="bert", path=str(tmp_path))
        assert not (tmp_path / "ran").exists()
        return
    encoder = make("text", tokenizer, kind="bert", path=str(tmp_path)).text_encoder
    assert all(torch.equal(value, weights[name]) for name, value in encoder.backbone.state_dict().items())


@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json"])
def test_code_that_a_folder_brings_is_not_run(where: str, tokenizer: Any, tmp_path: Path) -> None:
    written("text", "bert", tmp_path, tokenizer)
    code = f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n"
    for name in ("own.py", "modeling_own.py"):
        (tmp_path / name).write_text(code)
    said = json.loads((tmp_path / where).read_text())
    named = {"AutoConfig": "own.Config", "AutoModel": "modeling_own.Model", "AutoTokenizer": ["own.Tok", "own.Tok"]}
    (tmp_path / where).write_text(json.dumps({**said, "auto_map": named, "trust_remote_code": True}))
    for kind in ("bert", "auto"):
        make("text", tokenizer, kind=kind, path=str(tmp_path))
    load_tokenizer(tmp_path)
    assert not (tmp_path / "ran").exists()


FOLDERS: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda folder: folder.rmdir(),
    "an empty folder": lambda folder: None,
    "a file": lambda folder: (folder.rmdir(), folder.write_text("x")),
    "no JSON": lambda folder: (folder / "config.json").write_text("{'model_type': 'bert'}"),
    "a list": lambda folder: (folder / "config.json").write_text("[]"),
    "no type": lambda folder: (folder / "config.json").write_text("{}"),
    "a type that is no word": lambda folder: (folder / "config.json").write_text('{"model_type": ["bert"]}'),
    "settings alone": lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'),
    "a folder as settings": lambda folder: (folder / "config.json").mkdir(),
    "a pipe": lambda folder: os.mkfifo(folder / "config.json"),
}


@pytest.mark.parametrize("kind", ["bert", "auto"])
@pytest.mark.parametrize("name", list(FOLDERS))
def test_what_is_no_model_is_refused_by_its_setting(name: str, kind: str, tokenizer: Any, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    FOLDERS[name](folder)
    with pytest.raises(UserError, match=r"model\.text\.(path|kind)") as caught:
        make("text", tokenizer, kind=kind, path=str(folder))
    assert "\n" not in str(caught.value)
