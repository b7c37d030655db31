"""Architectures of transformers: their small forms, and how a pretrained one is read from a local directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dual_hpc.errors import UserError
from dual_hpc.files.file_kind import first_placeholder, stand_in
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import first_irregular, read_bytes
from dual_hpc.model.load_errors import CONFIG_ERRORS, LOAD_ERRORS, load_error_text, offline, without_report
from dual_hpc.model.self_contained import adapter_in, bytes_of_weights, first_danger
from dual_hpc.model.torchaudio_stub import install

install()

import torch  # noqa: E402
import transformers  # noqa: E402

PROCESSOR, PREPROCESSOR = "processor_config.json", "preprocessor_config.json"


@dataclass(frozen=True)
class Architecture:
    """One architecture of transformers.

    Args:
        name: its `model_type`; `<stem>Config` and `<stem>Model` are its classes.
        small: configuration of a new model when no directory is given; the user's keys go on top.
        arguments: further arguments of the model's constructor.
    """

    name: str
    stem: str
    small: dict[str, Any]
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def config_class(self) -> Any:
        return getattr(transformers, f"{self.stem}Config")

    @property
    def model_class(self) -> Any:
        return getattr(transformers, f"{self.stem}Model")


def complete_config(
    architecture: Architecture, overrides: dict[str, Any], path: str | None, setting: str
) -> dict[str, Any]:
    """The whole configuration of a model: that of `path` or the small one, with `overrides` on top.

    Raises:
        UserError: `path` is not a directory of this architecture, or the keys do not make a model.
    """
    base: dict[str, Any] = dict(architecture.small)
    if path is not None:
        base = read_json(Path(path), "config.json", f"{setting}.path")
        if danger := adapter_in(path) or first_danger(base, bytes_of_weights(path)):
            raise UserError(f"{setting}.path: {path}: {danger}")
        if base.get("model_type") != architecture.name:
            raise UserError(
                f"{setting}.path: {path} holds a {base.get('model_type')!r} model, {setting}.kind is "
                f"{architecture.name!r}"
            )
    if danger := first_danger(overrides):
        raise UserError(f"{setting}.config.{danger}")
    try:
        complete = architecture.config_class.from_dict({**base, **overrides}).to_dict()
    except CONFIG_ERRORS as error:
        raise UserError(f"{setting}.config: {load_error_text(error)}") from error
    unwanted = ("dtype", "torch_dtype", "transformers_version", "architectures", "id2label", "label2id", "num_labels")
    return {key: value for key, value in complete.items() if key not in unwanted and not key.startswith("_")}


def new_backbone(architecture: Architecture, config: dict[str, Any]) -> Any:
    """A model of this architecture with fresh weights.

    Raises:
        UserError: its configuration is of no model that is complete here.
    """
    if danger := first_danger(config):
        raise UserError(danger)
    return architecture.model_class(architecture.config_class.from_dict(dict(config)), **architecture.arguments)


def load_weights(architecture: Architecture, backbone: Any, path: str, setting: str) -> None:
    """Read pretrained weights in fp32 from a local directory into `backbone`; nothing is ever downloaded.

    Raises:
        UserError: no weights there, or they do not fit the configuration.
    """
    if (irregular := first_irregular(path)) is not None:
        raise UserError(f"{setting}.path: {path}/{irregular}, not a file")
    try:
        with without_report(), offline():
            loaded, report = architecture.model_class.from_pretrained(
                path,
                config=backbone.config,
                local_files_only=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **architecture.arguments,
            )
    except LOAD_ERRORS as error:
        reason = first_placeholder(path) or load_error_text(error)
        raise UserError(f"{setting}.path: no usable weights in {path} ({reason})") from error
    if report["missing_keys"]:
        raise UserError(f"{setting}.path: the weights in {path} lack {sorted(report['missing_keys'])[0]}")
    if report["mismatched_keys"]:
        name, found, wanted = sorted(report["mismatched_keys"])[0]
        raise UserError(f"{setting}.path: {name} in {path} is of size {[*found]}, its configuration says {[*wanted]}")
    backbone.load_state_dict(loaded.state_dict())


def read_json(folder: Path, name: str, setting: str) -> dict[str, Any]:
    """A JSON object from a model directory.

    Raises:
        UserError: the file is missing or is not one.
    """
    try:
        content = parse_json(read_bytes(folder / name))
    except (OSError, ValueError) as error:
        reason = f"{name} {found}" if (found := stand_in(folder / name)) else f"no readable {name}"
        raise UserError(f"{setting}: {folder} is not a model directory ({reason})") from error
    if not isinstance(content, dict):
        raise UserError(f"{setting}: {folder / name} is not a JSON object")
    return content


@dataclass(frozen=True)
class InputSettings:
    """How the inputs of a pretrained model were scaled in training.

    Attributes:
        values: as transformers wrote them; empty where the directory does not say.
        file: the name of the file that says it, for messages.
    """

    values: dict[str, Any]
    file: str = ""


def input_settings(path: str | None, setting: str, entries: Sequence[str]) -> InputSettings:
    """Read them as transformers does: an entry of `processor_config.json` first, else `preprocessor_config.json`.

    Args:
        entries: names of the entry, of which the first that is there counts. Versions before 5 wrote none.

    Raises:
        UserError: a file, or the entry, is not a JSON object.
    """
    if path is None:
        return InputSettings({})
    if (Path(path) / PROCESSOR).exists():
        content = read_json(Path(path), PROCESSOR, setting)
        for name in (name for name in entries if content.get(name) is not None):
            if not isinstance(content[name], dict):
                raise UserError(f"{setting}: {name} in {Path(path) / PROCESSOR} is not a JSON object")
            return InputSettings(content[name], PROCESSOR)
    if (Path(path) / PREPROCESSOR).exists():
        return InputSettings(read_json(Path(path), PREPROCESSOR, setting), PREPROCESSOR)
    return InputSettings({})
