"""Image models of transformers, one vector per frame."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.errors import UserError
from dual_hpc.model.constants import constant
from dual_hpc.model.encoders.base import Context, Encoder, EncoderKind
from dual_hpc.model.encoders.frames import encode_valid
from dual_hpc.model.encoders.frozen_norm import freeze_batch_norms
from dual_hpc.model.encoders.kinds import FIRST, POOLED, ListedKind, Scale
from dual_hpc.model.encoders.pretrained import Architecture, complete_config, input_settings, load_weights, new_backbone
from dual_hpc.model.encoders.stack import BackboneEncoder

if TYPE_CHECKING:
    from dual_hpc.config.encoder_section import EncoderConfig

_OF_STAGES = ("hidden_sizes", "depths", "num_block_repeats")  # in the configurations of networks of stages
_COLOURS = ("do_flip_channel_order", "do_convert_bgr", "do_grayscale")
_LARGEST, _SMALLEST = 1e6, 1e-6  # of a mean and a deviation that an image model can have been trained with


class ImageEncoder(BackboneEncoder):
    """An image model of transformers; BatchNorm keeps the statistics it was trained with.

    Where a model can interpolate its positions, pictures may be of another size than those it was trained on.

    Args:
        config: complete configuration of that model.
        mean, std: per RGB channel, on the 0-1 scale.
        one_size: pictures are scaled to the size that the model was made for.
        summary: which vector is a picture's: the first token, the mean of all, or what the model pools. A mix of layers
            takes the first token where there is one, else the mean.

    Attributes:
        channels_last: convolve pictures whose channels lie side by side in memory, as GPUs do it fastest.
    """

    channels_last = False

    def __init__(
        self,
        architecture: Architecture,
        config: dict[str, Any],
        mean: Sequence[float],
        std: Sequence[float],
        summary: str = POOLED,
        one_size: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = new_backbone(architecture, config)
        freeze_batch_norms(self.backbone)
        self.mean, self.std, self.summary = list(mean), list(std), summary
        self.output_size = feature_width(self.backbone.config)
        known = inspect.signature(self.backbone.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in known else {}
        self.states_skip_top = True
        self.side = picture_side(self.backbone.config.image_size) if one_size else None

    def is_mixable(self) -> bool:
        config = self.backbone.config
        return super().is_mixable() and not any(map(partial(hasattr, config), _OF_STAGES))

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images [N, 3, S, S] -> [N, E]."""
        inputs = {"pixel_values": images, **self.options}
        if self.mix is None and self.summary == POOLED:
            return self.backbone(**inputs).pooler_output.flatten(1)
        tokens = self.hidden(**inputs)
        embeddings = getattr(self.backbone, "embeddings", None)
        has_first = self.summary == FIRST or isinstance(getattr(embeddings, "class_embedding", None), nn.Parameter)
        return tokens[:, 0] if has_first else tokens.mean(dim=1)

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """frames uint8 [B, F, 3, S, S], lengths [B] -> features [B, max(F, 1), E], zero beyond lengths."""
        return encode_valid(self._encode, frames, lengths)

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        scaled = images.float() / 255
        if self.side is not None:
            scaled = scaled_to(scaled, self.side)
        mean, std = (
            constant(tuple(values), scaled.dtype, scaled.device).view(1, 3, 1, 1) for values in (self.mean, self.std)
        )
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return self.pooled(((scaled - mean) / std).to(self.dtype, memory_format=layout))


class ImageKind(EncoderKind):
    """An image model of transformers, pretrained or small and new."""

    def __init__(self, architecture: Architecture, listed: ListedKind) -> None:
        self.architecture, self.listed = architecture, listed

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        size = {"image_size": context.preprocessing["image_size"]}
        overrides = section.config if section.path else {**size, **section.config}
        config = complete_config(self.architecture, overrides, section.path, context.setting)
        scale = picture_scale(section.path, f"{context.setting}.path", self.listed.scale)
        return {"config": config} if scale is None else {"config": config, "scale": scale}

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> Encoder:
        scale, listed = spec_scale(spec, self.listed.scale), self.listed
        return ImageEncoder(
            self.architecture, spec["config"], scale["mean"], scale["std"], listed.summary, listed.one_size
        )

    def load(self, encoder: Any, path: str, setting: str) -> None:
        load_weights(self.architecture, encoder.backbone, path, setting)


def feature_width(config: Any) -> int:
    """Size of the vectors of a model with this configuration."""
    if sizes := getattr(config, "hidden_sizes", None):
        return int(sizes[-1])
    return int(config.hidden_dim if hasattr(config, "num_block_repeats") else config.hidden_size)  # EfficientNet


def picture_side(size: Any) -> int:
    """The side of the square pictures that a model takes.

    Raises:
        ValueError: they are not square.
    """
    sides = {int(side) for side in (size if isinstance(size, list | tuple) else [size])}
    if len(sides) != 1:
        raise ValueError(f"image_size: {size} is not square")
    return sides.pop()


def scaled_to(images: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures [N, 3, S, S] -> [N, 3, side, side]."""
    if images.shape[-1] == side:
        return images
    return functional.interpolate(images, (side, side), mode="bilinear", antialias=True)


def spec_scale(spec: dict[str, Any], default: Scale) -> Scale:
    """The scale of a description's pictures.

    Raises:
        UserError: it is not one.
    """
    scale = spec.get("scale") or default
    if not _is_usable(scale):
        raise UserError("scale: mean and std must be three numbers each, and the deviations above 0")
    return scale


def picture_scale(
    path: str | None, setting: str, default: Scale, entries: Sequence[str] = ("image_processor",)
) -> Scale | None:
    """Mean and deviation per RGB channel that images had in pretraining; None: the default."""
    extractor = input_settings(path, setting, entries)
    values, place = extractor.values, f"{path}/{extractor.file}"
    if turned := [name for name in _COLOURS if values.get(name)]:
        raise UserError(f"{setting}: {turned[0]} in {place}: pictures in BGR or grey are not made here")
    given = {name: values.get(f"image_{name}") for name in ("mean", "std")}
    if values.get("do_normalize") is False:
        given = {"mean": 0.0, "std": 1.0}
    rescaled = values.get("do_rescale") is not False
    rescale = values.get("rescale_factor", 1 / 255) if rescaled else 1
    offset = 1.0 if rescaled and (values.get("offset") or values.get("rescale_offset")) else 0.0  # ViViT, EfficientNet
    if given == {"mean": None, "std": None} and rescale == 1 / 255 and not offset:
        return None
    try:
        factor = 255 * float(rescale)  # they hold for pixels times rescale_factor, ours for pixels / 255
        mean, std = (_of_channels(default[name] if found is None else found) for name, found in given.items())
        twice = std if values.get("include_top") is True else [1.0] * 3  # EfficientNet divides by it again
        scale = {
            "mean": [(value + offset) / factor for value in mean],
            "std": [value * again / factor for value, again in zip(std, twice, strict=True)],
        }
    except (TypeError, ValueError, ArithmeticError):
        scale = {}
    if not _is_usable(scale):
        raise UserError(
            f"{setting}: image_mean and image_std in {place} must be three numbers each, and the deviations and "
            "rescale_factor above 0"
        )
    return scale


def _of_channels(values: Any) -> list[float]:
    """One number for all channels, or one for each.

    Raises:
        TypeError, ValueError: it is neither.
    """
    if isinstance(values, int | float) and not isinstance(values, bool):
        return [float(values)] * 3
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError("not three numbers")
    return [float(value) for value in values]


def _is_usable(scale: Any) -> bool:
    """True for three finite numbers each, of which a float32 divided by 255 may be divided by the deviations."""
    if not isinstance(scale, dict) or not {"mean", "std"} <= scale.keys():
        return False
    for values in (scale["mean"], scale["std"]):
        numbers = isinstance(values, list) and all(isinstance(v, int | float) and abs(v) < _LARGEST for v in values)
        if not numbers or len(values) != 3:
            return False
    return min(scale["std"]) > _SMALLEST
