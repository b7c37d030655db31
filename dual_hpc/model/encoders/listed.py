"""Registers the kinds of `kinds.py`, each with the adapter of its form; imported when one of them is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.base import Context, Encoder, EncoderKind
from dual_hpc.model.encoders.clip import ClipKind
from dual_hpc.model.encoders.image import ImageKind
from dual_hpc.model.encoders.kinds import AUTO, CLIP, KINDS, MEL, PICTURE, TOKENS, WAVEFORM, ListedKind
from dual_hpc.model.encoders.language import TextKind
from dual_hpc.model.encoders.mel import MelKind
from dual_hpc.model.encoders.pretrained import Architecture, read_json
from dual_hpc.model.encoders.registry import ENCODERS
from dual_hpc.model.encoders.speech import SpeechKind

if TYPE_CHECKING:
    from dual_hpc.config.encoder_section import EncoderConfig

ADAPTERS: dict[str, Any] = {
    WAVEFORM: SpeechKind,
    MEL: MelKind,
    PICTURE: ImageKind,
    CLIP: ClipKind,
    TOKENS: TextKind,
}
_FORM_OF_INPUT = {"input_values": WAVEFORM, "input_features": MEL, "pixel_values": PICTURE, "input_ids": TOKENS}


def adapted(name: str, listed: ListedKind) -> EncoderKind:
    """The kind of a line of the table."""
    architecture = Architecture(listed.model_type or name, listed.small, listed.part, listed.inside)
    kind: EncoderKind = ADAPTERS[listed.form](architecture, listed)
    return kind


class AutoKind(EncoderKind):
    """The architecture that a folder's config.json names: a kind of the table, or another that takes the same input."""

    def __init__(self, modality: str) -> None:
        self.modality = modality

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        found = dict(section.config)
        if section.path is not None:
            found = read_json(Path(section.path), "config.json", f"{context.setting}.path") | found
        if found.get("model_type", "timm_wrapper") == "timm_wrapper" and "architecture" in found:
            raise UserError(
                f"{context.setting}.path: {section.path} holds {found['architecture']!r} as timm saves it, which needs "
                "timm and torchvision and is not read; give a folder of transformers' own (efficientnet, convnext, vit "
                "...), or extract with timm yourself and use `dual-hpc pack features`"
            )
        return self._kind(found.get("model_type"), f"{context.setting}.kind").describe(section, context)

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> Encoder:
        return self._kind(spec["config"].get("model_type"), f"model.{self.modality}.kind").build(spec, preprocessing)

    def load(self, encoder: Any, path: str, setting: str) -> None:
        whole = read_json(Path(path), "config.json", f"{setting}.path").get("model_type")
        self._kind(whole, f"{setting}.kind").load(encoder, path, setting)

    def _kind(self, model_type: Any, setting: str) -> EncoderKind:
        for name, listed in KINDS[self.modality].items():
            if model_type in ((listed.model_type or name), *listed.inside):
                return adapted(name, listed)
        if isinstance(model_type, str) and model_type in transformers.CONFIG_MAPPING:
            config_class = transformers.CONFIG_MAPPING[model_type]
            model = transformers.MODEL_MAPPING.get(config_class, None)
            form = _FORM_OF_INPUT.get(getattr(model, "main_input_name", ""))
            if not getattr(config_class(), "is_encoder_decoder", False) and form in {
                listed.form for listed in KINDS[self.modality].values()
            }:
                return adapted(model_type, ListedKind(form))
        known = ", ".join(KINDS[self.modality])
        raise UserError(f"{setting}=auto: {model_type!r} does not encode {self.modality} here; known are {known}")


for _modality, _listed in KINDS.items():
    for _name, _kind in _listed.items():
        ENCODERS[_modality].register(_name, adapted(_name, _kind))
    ENCODERS[_modality].register(AUTO, AutoKind(_modality))
