"""Video models of transformers, which take several frames in time (VideoMAE, ViViT, TimeSformer, V-JEPA 2)."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from dual_hpc.model.constants import constant
from dual_hpc.model.encoders.base import Context, EncoderKind
from dual_hpc.model.encoders.frames import encode_valid
from dual_hpc.model.encoders.image import feature_width, picture_scale, picture_side, scaled_to, spec_scale
from dual_hpc.model.encoders.kinds import ListedKind
from dual_hpc.model.encoders.pretrained import Architecture, complete_config, load_weights, new_backbone
from dual_hpc.model.encoders.stack import BackboneEncoder
from dual_hpc.model.masking import blank, pad_steps, prefix_mask

if TYPE_CHECKING:
    from dual_hpc.config.encoder_section import EncoderConfig


class ClipEncoder(BackboneEncoder):
    """One vector per frame, of a model that sees `window` frames at once.

    The frames of an utterance are cut into windows, one after the other; the last one is filled with the last frame.
    What the model says of a moment, the mean over its patches, is what each of the moment's frames gets. Pictures are
    scaled to the size that the model was made for.

    Args:
        config: complete configuration of that model.
        mean, std: per RGB channel, on the 0-1 scale.
        patch_first: tokens lie patch by patch, not moment by moment.
    """

    def __init__(
        self,
        architecture: Architecture,
        config: dict[str, Any],
        mean: Sequence[float],
        std: Sequence[float],
        patch_first: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = new_backbone(architecture, config)
        made = self.backbone.config
        self.mean, self.std, self.patch_first = list(mean), list(std), patch_first
        self.output_size = feature_width(made)
        self.side = picture_side(getattr(made, "crop_size", None) or made.image_size)
        self.window = int(getattr(made, "frames_per_clip", None) or made.num_frames)
        tubelet = getattr(made, "tubelet_size", 1)
        self.moment = int(tubelet[0] if isinstance(tubelet, list | tuple) else tubelet)  # frames
        if self.window % self.moment:
            raise ValueError(f"{self.window} frames are not whole moments of {self.moment}")
        known = inspect.signature(self.backbone.forward).parameters
        self.input = "pixel_values_videos" if "pixel_values_videos" in known else "pixel_values"
        self.states_skip_top = True

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """frames uint8 [B, F, 3, S, S], lengths [B] -> features [B, max(F, 1), E], zero beyond lengths."""
        frames = pad_steps(frames, 1)
        size = frames.shape[1]
        windows = -(-size // self.window)
        wanted = torch.arange(windows * self.window, device=frames.device)
        wanted = torch.minimum(wanted, (lengths.clamp(1, size) - 1).unsqueeze(1))  # [B, W * window]
        rows = torch.arange(frames.shape[0], device=frames.device).unsqueeze(1)
        filled = frames[rows, wanted].unflatten(1, (windows, self.window))
        counts = torch.div(lengths + self.window - 1, self.window, rounding_mode="floor")
        found = encode_valid(self._encode, filled, counts)
        found = found.unflatten(2, (self.window, self.output_size)).flatten(1, 2)[:, :size]
        return blank(found, prefix_mask(lengths, size))

    def _encode(self, clips: torch.Tensor) -> torch.Tensor:
        """Windows uint8 [N, window, 3, S, S] -> [N, window * E]."""
        scaled = clips.float() / 255
        mean, std = (
            constant(tuple(values), scaled.dtype, scaled.device).view(1, 1, 3, 1, 1) for values in (self.mean, self.std)
        )
        scaled = scaled_to(scaled.flatten(0, 1), self.side).unflatten(0, scaled.shape[:2])
        tokens = self.hidden(**{self.input: ((scaled - mean) / std).to(self.dtype)})
        moments = self.window // self.moment
        tokens = tokens[:, tokens.shape[1] % moments :]  # without the class token
        order = (-1, moments) if self.patch_first else (moments, -1)
        means = tokens.unflatten(1, order).mean(dim=1 if self.patch_first else 2)
        return means.repeat_interleave(self.moment, dim=1).flatten(1)


class ClipKind(EncoderKind):
    """A video model of transformers, pretrained or small and new."""

    def __init__(self, architecture: Architecture, listed: ListedKind) -> None:
        self.architecture, self.scale, self.patch_first = architecture, listed.scale, listed.patch_first

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        size = dict.fromkeys(("image_size", "crop_size"), context.preprocessing["image_size"])
        own = self.architecture.config_class().to_dict()
        sizes = {key: value for key, value in size.items() if key in own}
        overrides = section.config if section.path else {**sizes, **section.config}
        config = complete_config(self.architecture, overrides, section.path, context.setting)
        setting = f"{context.setting}.path"
        scale = picture_scale(section.path, setting, self.scale, ("video_processor", "image_processor"))
        return {"config": config} if scale is None else {"config": config, "scale": scale}

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> ClipEncoder:
        scale = spec_scale(spec, self.scale)
        return ClipEncoder(self.architecture, spec["config"], scale["mean"], scale["std"], self.patch_first)

    def load(self, encoder: Any, path: str, setting: str) -> None:
        load_weights(self.architecture, encoder.backbone, path, setting)
