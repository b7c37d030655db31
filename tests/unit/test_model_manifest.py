"""A saved model with any changed, missing, exchanged or added file is refused, by every reader, in one line."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.served_model import ServedModel
from dual_hpc.model import DualForEmotionClassification, build_model, build_tokenizer, load_model, save_model
from dual_hpc.model_manifest import KEY, MANIFEST, check_files, damage_of, write_manifest
from dual_hpc.tracking.mlflow_model import log_model
from tests.unit.conftest import PREPROCESSING


def save(folder: Path, seed: int = 0) -> Path:
    """A small model with a tokenizer; another seed gives other weights and another vocabulary."""
    import torch

    torch.manual_seed(seed)
    tokenizer = build_tokenizer([f"word{seed} " * 2, "fine fine"])
    small = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1, use_video=False)
    save_model(build_model(small, ["calm", "cross"], PREPROCESSING, None, tokenizer), tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two saved models, which no test changes."""
    root = tmp_path_factory.mktemp("models")
    return save(root / "one"), save(root / "other", 1)


@pytest.fixture
def model(models: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(models[0], tmp_path / "model"))


NAMES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", MANIFEST)


def flip(file: Path, draw: Any) -> None:
    data = bytearray(file.read_bytes())
    place, bit = draw.draw(st.integers(0, len(data) - 1)), draw.draw(st.integers(0, 7))
    data[place] ^= 1 << bit
    file.write_bytes(data)


def truncate(file: Path, draw: Any) -> None:
    os.truncate(file, draw.draw(st.integers(0, file.stat().st_size - 1)))


def append(file: Path, draw: Any) -> None:
    with open(file, "ab") as opened:
        opened.write(draw.draw(st.sampled_from([b"\n", b" ", b"\0", b"{}"])))


def delete(file: Path, draw: Any) -> None:
    file.unlink()


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(NAMES), st.sampled_from([flip, truncate, append, delete]))
def test_any_damage_to_any_file_is_found(models: tuple[Path, Path], draw: Any, name: str, damage: Any) -> None:
    folder = models[0].parent / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(models[0], folder)
    damage(folder / name, draw)
    reasons = damage_of(folder)
    assert reasons and name in reasons[0]


def test_the_names_above_are_the_files_of_a_saved_model(models: tuple[Path, Path]) -> None:
    assert sorted(path.name for path in models[0].iterdir()) == sorted(NAMES)
    assert damage_of(models[0]) == damage_of(models[1]) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_another_model_is_found(models: tuple[Path, Path], model: Path, name: str) -> None:
    mine, others = (model / name).read_bytes(), (models[1] / name).read_bytes()
    (model / name).write_bytes(others)
    assert (damage_of(model) == []) == (mine == others)
    assert mine != others or name in ("config.json", "tokenizer_config.json")


@pytest.mark.parametrize("name", ["adapter_config.json", "added_tokens.json", "special/model.py", "x.safetensors"])
def test_a_file_that_loaders_would_take_and_that_was_not_saved_is_refused(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text("{}")
    with pytest.raises(EnvironmentFault, match=f"{name} was not saved with the model"):
        load_model(model)


def test_what_nobody_reads_may_lie_there(model: Path) -> None:
    for name in ("README.md", ".DS_Store", "._config.json", "curve.png"):
        (model / name).write_text("{}")
    check_files(model)


def readers(folder: Path) -> dict[str, Any]:
    class Context:
        model_config = {"folder": str(folder)}  # noqa: RUF012

    return {
        "load_model": lambda: load_model(folder),
        "from_pretrained": lambda: DualForEmotionClassification.from_pretrained(folder),
        "Predictor": lambda: Predictor.from_pretrained(folder, device="cpu"),
        "served": lambda: ServedModel().load_context(Context),
        "logged": lambda: log_model(None, "unused", folder, "unused"),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("reader", ["load_model", "from_pretrained", "Predictor", "served", "logged"])
def test_every_reader_refuses_in_one_line_that_names_the_file_and_what_to_do(model: Path, reader: str) -> None:
    config = model / "config.json"
    config.write_text(config.read_text().replace('"calm"', '"kind"'))  # valid, and silently other answers
    with pytest.raises(EnvironmentFault) as refused:
        readers(model)[reader]()
    said = str(refused.value)
    assert "\n" not in said and str(model) in said and "config.json has" in said
    assert "ckpt export" in said and f"ckpt accept {model}" in said


def test_a_change_on_purpose_is_accepted_by_recording_the_files_as_they_are(model: Path) -> None:
    config = model / "config.json"
    config.write_text(config.read_text().replace('"calm"', '"kind"'))
    write_manifest(model)
    assert damage_of(model) == [] and load_model(model)[0].config.labels == ["kind", "cross"]


def test_a_model_of_an_earlier_version_is_read_with_one_warning(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = json.loads((model / "config.json").read_text())
    assert content.pop(KEY) == MANIFEST
    (model / "config.json").write_text(json.dumps(content))
    (model / MANIFEST).unlink()
    assert damage_of(model) is None
    with caplog.at_level(logging.WARNING, "dual_hpc"):
        load_model(model)
    assert [record.getMessage().split(": ")[-1] for record in caplog.records] == ["its files are not verified"]


def test_what_transformers_saves_of_a_proven_model_claims_no_manifest(model: Path, tmp_path: Path) -> None:
    load_model(model)[0].save_pretrained(tmp_path / "again")
    assert damage_of(tmp_path / "again") is None
    DualForEmotionClassification.from_pretrained(tmp_path / "again")


def test_a_kill_while_saving_leaves_no_model_that_is_taken_for_a_proven_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr("dual_hpc.model_manifest.hash_file", die)
    with pytest.raises(Killed):
        save(tmp_path / "model")
    assert damage_of(tmp_path / "model") == [f"{MANIFEST} is missing"]


def test_a_folder_without_a_model_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no saved model"):
        write_manifest(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_weights_may_be_read_by_whom_the_umask_lets_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save(tmp_path / "model")
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "model").iterdir()} == {"0o640"}
