"""Architectures of transformers: their small forms, and how a pretrained one is read from a local directory."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dual_hpc.errors import UserError
from dual_hpc.files.file_kind import first_placeholder, stand_in
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import first_irregular, read_bytes
from dual_hpc.model.encoders.lora import with_lora_names
from dual_hpc.model.load_errors import CONFIG_ERRORS, LOAD_ERRORS, load_error_text, offline, without_report
from dual_hpc.model.self_contained import adapter_in, bytes_of_weights, first_danger
from dual_hpc.model.torchaudio_stub import install

install()

import torch  # noqa: E402
import transformers  # noqa: E402

_log = logging.getLogger(__name__)

PROCESSOR, PREPROCESSOR = "processor_config.json", "preprocessor_config.json"
VIDEO_PREPROCESSOR = "video_preprocessor_config.json"


@dataclass(frozen=True)
class Architecture:
    """One architecture of transformers.

    Args:
        name: its `model_type`.
        small: configuration of a new model when no directory is given; the user's keys go on top.
        part: the attribute of the model that is used; empty: all of it.
        inside: model types whose directories hold it as a part -> the entry of their configuration that describes it.
    """

    name: str
    small: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""
    inside: Mapping[str, str] = field(default_factory=dict)

    @property
    def config_class(self) -> Any:
        return transformers.CONFIG_MAPPING[self.name]

    @property
    def model_class(self) -> Any:
        return transformers.MODEL_MAPPING[self.config_class]

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the model's constructor: no pooler, whose output nobody reads."""
        known = inspect.signature(self.model_class.__init__).parameters
        return {"add_pooling_layer": False} if "add_pooling_layer" in known else {}

    def used(self, model: Any) -> Any:
        """The part of a whole model that is used."""
        return getattr(model, self.part) if self.part else model


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
        base = _own_config(architecture, base, path, setting)
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
    config_object = architecture.config_class.from_dict(dict(config))
    backbone = architecture.used(architecture.model_class(config_object, **architecture.arguments))
    for module in backbone.modules():  # DINOv3 without register tokens: DeepSpeed cannot gather what has no elements
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not parameter.numel():
                delattr(module, name)
                module.register_buffer(name, parameter.data)
    return backbone


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
    inside = f"{architecture.part}." if architecture.part else ""
    if missing := sorted(key for key in report["missing_keys"] if key.startswith(inside)):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{setting}.path: the weights in {path} lack {missing[0]}{more}")
    if report["mismatched_keys"]:
        name, found, wanted = sorted(report["mismatched_keys"])[0]
        raise UserError(f"{setting}.path: {name} in {path} is of size {[*found]}, its configuration says {[*wanted]}")
    backbone.load_state_dict(with_lora_names(backbone, architecture.used(loaded).state_dict()))
    if unexpected := sorted(report["unexpected_keys"]):
        parts = sorted({key.split(".")[0] for key in unexpected})
        _log.warning(
            "%s.path: %d of the weights in %s are not part of this encoder (%s) and are not used",
            *(setting, len(unexpected), path, ", ".join([*parts[:4], *(["..."] if len(parts) > 4 else [])])),
        )


def _own_config(architecture: Architecture, base: dict[str, Any], path: str, setting: str) -> dict[str, Any]:
    """The architecture's own part of the configuration in a directory."""
    whole = base.get("model_type")
    if whole == architecture.name:
        return base
    if isinstance(whole, str) and whole in architecture.inside:
        try:  # by transformers, which knows the layouts of its earlier versions
            complete = transformers.CONFIG_MAPPING[whole].from_dict(base)
            return getattr(complete, architecture.inside[whole]).to_dict()
        except CONFIG_ERRORS as error:
            raise UserError(f"{setting}.path: config.json in {path}: {load_error_text(error)}") from error
    raise UserError(f"{setting}.path: {path} holds a {whole!r} model, {setting}.kind is {architecture.name!r}")


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
    for file in (VIDEO_PREPROCESSOR, PREPROCESSOR) if "video_processor" in entries else (PREPROCESSOR,):
        if (Path(path) / file).exists():
            content = read_json(Path(path), file, setting)
            nested = next((content[name] for name in entries if isinstance(content.get(name), dict)), content)
            return InputSettings(nested, file)
    return InputSettings({})
