"""Speech models that take log-mel features (Whisper, wav2vec2-BERT, Parakeet)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.base import Context, EncoderKind
from dual_hpc.model.encoders.frozen_norm import freeze_batch_norms
from dual_hpc.model.encoders.kinds import ListedKind
from dual_hpc.model.encoders.level import normalize_level
from dual_hpc.model.encoders.mel_front import FRONTS
from dual_hpc.model.encoders.pretrained import Architecture, complete_config, load_weights, new_backbone
from dual_hpc.model.encoders.speech import FIXED, audio_settings
from dual_hpc.model.encoders.stack import BackboneEncoder
from dual_hpc.model.masking import blank, prefix_mask

if TYPE_CHECKING:
    from dual_hpc.config.encoder_section import EncoderConfig


class MelEncoder(BackboneEncoder):
    """A transformers speech model on log-mel features, whose valid outputs do not depend on padding.

    Args:
        config: complete configuration of that model.
        front: arguments of the front end (`mel_front.py`), and its name as `type`.
    """

    def __init__(
        self, architecture: Architecture, config: dict[str, Any], sample_rate: int, front: dict[str, Any]
    ) -> None:
        super().__init__()
        self.backbone = new_backbone(architecture, {**config, **{k: v for k, v in FIXED.items() if k in config}})
        freeze_batch_norms(self.backbone)
        made = self.backbone.config
        self.output_size = int(made.hidden_size)
        self.front = FRONTS[front["type"]](sample_rate, made, {k: v for k, v in front.items() if k != "type"})
        self.rate_hz = self.front.rate_hz

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """waveform f32 [B, N] and lengths [B] samples -> features [B, S, E] and their lengths [B].

        A clip that is too short for one step is continued with silence; one without audio has no steps.
        """
        waveform = blank(waveform.float(), prefix_mask(lengths, waveform.shape[1]))
        inputs, steps = self.front(normalize_level(waveform, lengths), lengths)
        output = self.hidden(**{k: v.to(self.dtype) if v.is_floating_point() else v for k, v in inputs.items()})
        steps = steps.clamp(max=output.shape[1]) * (lengths > 0)
        longest = max(1, min(output.shape[1], self.front.most_steps(waveform.shape[1])))
        return blank(output[:, :longest], prefix_mask(steps, longest)), steps


class MelKind(EncoderKind):
    """A speech model of transformers on log-mel features, pretrained or small and new."""

    def __init__(self, architecture: Architecture, listed: ListedKind) -> None:
        self.architecture, self.front = architecture, listed.front

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        sample_rate, seconds = context.preprocessing["sample_rate"], context.preprocessing["max_seconds"]
        overrides = dict(section.config)
        if section.path is None and self.front in FRONTS:
            overrides = {**FRONTS[self.front].sizes(sample_rate, seconds), **overrides}
        config = complete_config(self.architecture, overrides, section.path, context.setting)
        settings = audio_settings(section.path, f"{context.setting}.path", sample_rate, config)
        name = settings.values.get("feature_extractor_type", self.front)
        if name not in FRONTS:
            raise UserError(
                f"{context.setting}.path: {section.path} wants the input of {name or 'an unknown feature extractor'}; "
                f"known are {', '.join(FRONTS)}"
            )
        front = {"type": name, **FRONTS[name].settings(settings.values)}
        try:
            made = FRONTS[name](sample_rate, self.architecture.config_class.from_dict(dict(config)), front)
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            raise UserError(f"{context.setting}.path: {settings.file or 'config.json'}: {error}") from error
        if made.most_seconds is not None and seconds > made.most_seconds:
            raise UserError(f"data.max_seconds={seconds:g}: this audio encoder hears at most {made.most_seconds:g}")
        return {"config": config, "front": front}

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> MelEncoder:
        return MelEncoder(self.architecture, spec["config"], preprocessing["sample_rate"], spec["front"])

    def load(self, encoder: Any, path: str, setting: str) -> None:
        load_weights(self.architecture, encoder.backbone, path, setting)
