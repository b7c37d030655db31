"""What the indexes of feature shards say: which encoders made them, their widths, rates and preprocessing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.preparation.record import KEY
from dual_hpc.errors import UserError

_PREPROCESSING = {"sample_rate": int, "image_size": int, "video_hz": float, "max_seconds": float, "max_tokens": int}
_OWN = {
    "source",
    "fingerprint",
    "batch_size",
    KEY,
    "encoders",
}  # options in which folders that belong together may differ


@dataclass(frozen=True)
class FeatureSource:
    """What made the features of a `ShardDataset`.

    Attributes:
        encoders: modality -> `width`, `encoder` (its identity), for audio `rate_hz`, and where there are several
            `layers` their number; those with any feature.
        preprocessing: of the media, as `EmotionConfig.preprocessing`.
        origin: where the encoders are and what they are, as `dual-hpc extract` recorded it; None: not recorded.
    """

    encoders: dict[str, dict[str, Any]]
    preprocessing: dict[str, Any]
    origin: dict[str, Any] | None = None


def feature_source(dataset: ShardDataset) -> FeatureSource | None:
    """What the indexes say of features; None for media.

    Raises:
        UserError: folders whose features were made differently, or an index that lacks what `dual-hpc extract` writes.
    """
    if dataset.kind != "features":
        return None
    options = _shared(dataset)
    folder = dataset.folders[0]
    try:
        preprocessing = {name: kind(options[name]) for name, kind in _PREPROCESSING.items()}
        encoders: dict[str, dict[str, Any]] = {
            name: {"width": width, "encoder": options[f"{name}_encoder"]}
            for name, (width, _) in dataset.features().items()
        }
        if "audio" in encoders:
            encoders["audio"]["rate_hz"] = float(options["audio_hz"])
        for name, described in encoders.items():
            if (layers := int(options.get(f"{name}_layers", 1))) > 1:
                described["layers"] = layers
    except (KeyError, ValueError) as error:
        raise UserError(
            f"data.shards: the index of {folder} does not have {error}; run `dual-hpc extract` again"
        ) from error
    return FeatureSource(encoders, preprocessing, _origin(dataset.options[0].get("encoders")))


def check_readable(config: Any, dataset: ShardDataset) -> None:
    """A model of media needs media, one of features the features it was trained on, or media and their encoders.

    Args:
        config: of the model, an `EmotionConfig`.

    Raises:
        UserError: it cannot read what the folders hold.
    """
    source = feature_source(dataset)
    if source is not None and not config.reads_features:
        raise UserError("data.shards: they hold features, this model was trained on media; give shards of media")
    if source is None:
        return
    for name in ("audio", "video", "text"):
        if getattr(config, f"use_{name}") and source.encoders.get(name) != getattr(config, name)["config"]:
            raise UserError(f"data.shards: their {name} features are not of the encoder that this model was trained on")
    for key in ("image_size", "video_hz", "max_tokens"):
        if (theirs := source.preprocessing[key]) != (ours := config.preprocessing[key]):
            raise UserError(f"data.shards: their features were made with {key}={theirs}, this model needs {ours}")


def _origin(text: str | None) -> dict[str, Any] | None:
    try:
        found = None if text is None else json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _shared(dataset: ShardDataset) -> dict[str, str]:
    first, *others = map(_decisive, dataset.options)
    for folder, options in zip(dataset.folders[1:], others, strict=True):
        if different := sorted(key for key in first.keys() | options.keys() if first.get(key) != options.get(key)):
            raise UserError(
                f"data.shards: the features of {dataset.folders[0]} and {folder} differ in {different[0]}; "
                "extract them with the same encoders and settings, or give `pack features` the --maker of both"
            )
    return first


def _decisive(options: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in options.items() if key not in _OWN}
