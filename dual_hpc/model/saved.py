"""A finished model on disk: `config.json`, `model.safetensors` and the tokenizer's files in one directory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.pretrained import read_json
from dual_hpc.model.encoders.registry import ENCODERS, MODALITIES
from dual_hpc.model.family import family_of, recorded_plugins
from dual_hpc.model.tokenizer import load_tokenizer
from dual_hpc.model_manifest import CONFIG, check_files, write_manifest

if TYPE_CHECKING:
    from dual_hpc.model.emotion_config import EmotionConfig
    from dual_hpc.model.emotion_model import EmotionModel


def save_model(model: EmotionModel, tokenizer: Any, folder: str | Path) -> None:
    """Write a model that `load_model` reads, tokenizer included (None where the model has no text encoder).

    `manifest.json`, which proves its files, comes last.

    Raises:
        OSError, SafetensorError: it cannot be written.
    """
    folder = Path(folder)
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):  # safetensors makes them for their owner alone
        shutil.copymode(folder / CONFIG, weights)
    write_manifest(folder)


def load_model(folder: str | Path, *, verified: bool = False) -> tuple[EmotionModel, Any]:
    """The model of a directory in evaluation mode, and its tokenizer (None if it does not read text).

    The directory alone never causes an import: a model that a plugin registers needs that plugin to be loaded before.

    Args:
        verified: the caller has checked its files (`dual_hpc.model_manifest`), which reads each of them once.

    Raises:
        UserError: the directory holds something else, or is incomplete.
        EnvironmentFault: a file is not as it was saved.
    """
    if not verified:
        check_files(folder)
    content = read_json(Path(folder), "config.json", "model")
    family = family_of(content, folder)
    _check_encoders(content, folder)
    model = family.model_class.from_pretrained(folder, verified=True)
    return model.eval(), load_tokenizer(folder) if model.config.reads_words else None


def read_description(path: Path) -> EmotionConfig:
    """The configuration of a model in a JSON file.

    Raises:
        UserError: it is not one, or of no family that is registered.
    """
    content = read_json(path.parent, path.name, "model")
    return family_of(content, path).config_class.from_dict(content)


def _check_encoders(content: dict[str, Any], folder: str | Path) -> None:
    """Name the plugins where the kind of an encoder is registered by one that is not loaded."""
    plugins = recorded_plugins(content)
    for name in MODALITIES:
        spec = content.get(name)
        kind = spec.get("kind") if isinstance(spec, dict) else None
        if plugins and isinstance(kind, str) and kind not in ENCODERS[name]:
            flags = " ".join(f"--plugin {plugin}" for plugin in plugins)
            raise UserError(f"model: {folder}: the {name} encoder {kind!r} is registered by a plugin: add {flags}")
