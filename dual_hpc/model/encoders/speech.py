"""The wav2vec 2.0 family (wav2vec 2.0, HuBERT, WavLM, data2vec ...): models that take the waveform itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.base import Context, EncoderKind
from dual_hpc.model.encoders.frozen_norm import freeze_batch_norms
from dual_hpc.model.encoders.kinds import ListedKind
from dual_hpc.model.encoders.level import normalize_level
from dual_hpc.model.encoders.masked_norm import MaskedGroupNorm, MaskedInput
from dual_hpc.model.encoders.pretrained import (
    Architecture,
    InputSettings,
    complete_config,
    input_settings,
    load_weights,
    new_backbone,
)
from dual_hpc.model.encoders.stack import BackboneEncoder
from dual_hpc.model.masking import blank, pad_steps, prefix_mask

if TYPE_CHECKING:
    from dual_hpc.config.encoder_section import EncoderConfig

_EXTRACTOR = "Wav2Vec2FeatureExtractor"  # of the whole family
# Randomness inside the model that DUAL must not have: LayerDrop gives ranks different graphs, SpecAugment fails on
# short clips (dual_hpc.data augments instead), an adapter would change the frame rate.
FIXED = {
    "layerdrop": 0.0,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "apply_spec_augment": False,
    "add_adapter": False,
}


class SpeechEncoder(BackboneEncoder):
    """A transformers speech model whose valid outputs do not depend on padding.

    Args:
        architecture: wav2vec 2.0, or one of its family.
        config: complete configuration of that model.
        normalize: bring each utterance to zero mean and unit variance over its valid samples, as most of these models
            were trained (`do_normalize` of their feature extractor).
        level_first: before that, bring it to the level of a good recording. transformers adds 1e-7 to the variance,
            which makes soft recordings (below -50 dBFS) softer still. Models written before are without.
    """

    def __init__(
        self,
        architecture: Architecture,
        config: dict[str, Any],
        sample_rate: int,
        normalize: bool = True,
        level_first: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = new_backbone(architecture, {**config, **FIXED})
        self.normalize, self.level_first = normalize, level_first
        self.output_size = self.backbone.config.hidden_size
        self.rate_hz = sample_rate / math.prod(self.backbone.config.conv_stride)
        self.convolutions = list(zip(self.backbone.config.conv_kernel, self.backbone.config.conv_stride, strict=True))
        self.shortest = 1  # samples that make one frame
        for kernel, stride in reversed(self.convolutions):
            self.shortest = (self.shortest - 1) * stride + kernel
        freeze_batch_norms(self.backbone)
        extractor = self.backbone.feature_extractor
        extractor._requires_grad = False  # else it asks for gradients of the waveform, frozen or not
        if isinstance(first := getattr(extractor.conv_layers[0], "layer_norm", None), nn.GroupNorm):
            extractor.conv_layers[0].layer_norm = MaskedGroupNorm.replacing(first)
        # Convolutions on top of each other: what the first makes of the padding, the next one would see.
        self._positions = [MaskedInput(layer) for layer in getattr(self.backbone.encoder.pos_conv_embed, "layers", [])]

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """waveform f32 [B, N] and lengths [B] samples -> features [B, S, E] and their lengths [B].

        A clip shorter than one frame is continued with silence; one without audio has no frames.
        """
        waveform = pad_steps(waveform.float(), self.shortest)
        waveform = blank(waveform, prefix_mask(lengths, waveform.shape[1]))
        if self.normalize:
            waveform = standardize(normalize_level(waveform, lengths) if self.level_first else waveform, lengths)
        heard = lengths.clamp_min(self.shortest)
        norm = getattr(self.backbone.feature_extractor.conv_layers[0], "layer_norm", None)
        if isinstance(norm, MaskedGroupNorm):
            kernel, stride = self.convolutions[0]
            norm.lengths = torch.div(heard - kernel, stride, rounding_mode="floor") + 1
        frames = heard
        for kernel, stride in self.convolutions:
            frames = torch.div(frames - kernel, stride, rounding_mode="floor") + 1
        for layer in self._positions:
            layer.lengths = frames
        mask = prefix_mask(heard, waveform.shape[1]).long()
        output = self.hidden(input_values=waveform.to(self.dtype), attention_mask=mask)
        frames = frames * (lengths > 0)
        return blank(output, prefix_mask(frames, output.shape[1])), frames


class SpeechKind(EncoderKind):
    """A speech model of transformers, pretrained or small and new."""

    def __init__(self, architecture: Architecture, listed: ListedKind) -> None:
        self.architecture = architecture

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        config = complete_config(self.architecture, section.config, section.path, context.setting)
        setting, sample_rate = f"{context.setting}.path", context.preprocessing["sample_rate"]
        extractor = audio_settings(section.path, setting, sample_rate, config)
        if (wanted := extractor.values.get("feature_extractor_type", _EXTRACTOR)) != _EXTRACTOR:
            raise UserError(f"{setting}: {section.path} wants the input of {wanted}; known is {_EXTRACTOR}")
        level_first = context.written is None or bool(context.written.get("level_first", False))
        return {
            "config": config,
            "normalize": bool(extractor.values.get("do_normalize", True)),
            **({"level_first": True} if level_first else {}),
        }

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> SpeechEncoder:
        normalize, level_first = spec.get("normalize", True), spec.get("level_first", False)
        return SpeechEncoder(self.architecture, spec["config"], preprocessing["sample_rate"], normalize, level_first)

    def load(self, encoder: Any, path: str, setting: str) -> None:
        load_weights(self.architecture, encoder.backbone, path, setting)


def audio_settings(path: str | None, setting: str, sample_rate: int, config: dict[str, Any]) -> InputSettings:
    """What the directory says of the inputs of a speech model, which must be at `sample_rate` Hz.

    Raises:
        UserError: it was trained at another rate.
    """
    found = input_settings(path, setting, ("feature_extractor", "audio_processor"))
    for rate, file in ((found.values.get("sampling_rate"), found.file), (config.get("sampling_rate"), "config.json")):
        if rate is not None and (isinstance(rate, bool) or rate != sample_rate):
            raise UserError(
                f"{setting}: {path} was trained on audio of {rate} Hz ({file}), shards hold {sample_rate} Hz"
            )
    return found


def standardize(waveform: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance of each utterance over its valid samples: f32 [B, N] -> [B, N], zero beyond."""
    mask = prefix_mask(lengths, waveform.shape[1])
    count = lengths.clamp_min(1).unsqueeze(1)
    centred = blank(waveform - waveform.sum(1, keepdim=True) / count, mask)
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / count + 1e-7)
