"""What the indexes of feature shards say: which encoders made them, their widths, rates and preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.feature_sets import Choice, encoder_key
from dual_hpc.data.format.members import StoredArray
from dual_hpc.data.preparation.record import KEY
from dual_hpc.errors import UserError
from dual_hpc.modality import Modality

Sets = Mapping[str, Mapping[str, str]]  # name of a set -> options of its index
_PREPROCESSING = {"sample_rate": int, "image_size": int, "video_hz": float, "max_seconds": float, "max_tokens": int}
OPTION = "encoders"  # of an index: the record of the extraction (`dual_hpc/model/encoders/origin.py`)
_OWN = {
    "source",
    "fingerprint",
    "batch_size",
    KEY,
    OPTION,
}  # options in which folders that belong together may differ


@dataclass(frozen=True)
class FeatureSource:
    """What made the features of a `ShardDataset`.

    Attributes:
        encoders: modality -> `width`, `encoder` (its identity), for audio `rate_hz`, and where there are several
            `layers` their number; those with any feature. Of several encoders side by side what they are together, and
            in `parts` the width, identity and layers of each.
        preprocessing: of the media, as `EmotionConfig.preprocessing`.
        origin: where the encoders are and what they are, as `dual-hpc extract` recorded it, or `{"sets": [...]}` of
            several extractions; None: not recorded.
    """

    encoders: dict[str, dict[str, Any]]
    preprocessing: dict[str, Any]
    origin: dict[str, Any] | None = None


def feature_source(dataset: ShardDataset) -> FeatureSource | None:
    """What the indexes say of features; None for media.

    Raises:
        UserError: folders whose features were made differently, sets that no model can read together, or an index that
            lacks what `dual-hpc extract` writes.
    """
    if dataset.kind != "features":
        return None
    sets = _shared(dataset)
    try:
        preprocessing = {key: _agreed(key, dataset, sets) for key in _PREPROCESSING}
        encoders = {name: _described(name, arrays, sets) for name, arrays in dataset.features().items()}
    except (KeyError, ValueError) as error:
        raise UserError(
            f"data.shards: the index of {dataset.folders[0]} does not have {error}; run `dual-hpc extract` again"
        ) from error
    return FeatureSource(encoders, preprocessing, _recorded(dataset, sets))


def sets_of_model(config: Any) -> Choice:
    """The sets whose features a model was trained on.

    Args:
        config: of the model, an `EmotionConfig`.
    """
    if not config.reads_features:
        return {}
    chosen: dict[str, Sequence[str]] = dict.fromkeys(map(str, Modality), ())
    for name in chosen:
        if getattr(config, f"use_{name}"):
            stored = getattr(config, name)["config"]
            chosen[name] = [str(one.get("encoder")) for one in stored.get("parts", [stored])]
    return chosen


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


def _described(name: str, arrays: Sequence[StoredArray], sets: Sets) -> dict[str, Any]:
    parts = [_part(name, one, sets[one.member.rpartition("/")[0]]) for one in arrays]
    if len(parts) == 1:
        return parts[0]
    whole: dict[str, Any] = {"width": sum(one["width"] for one in parts)}
    whole["encoder"] = " + ".join(one["encoder"] for one in parts)
    if rates := [one.pop("rate_hz") for one in parts if "rate_hz" in one]:
        whole["rate_hz"] = max(rates)
    return {**whole, "parts": parts}


def _part(name: str, array: StoredArray, options: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"width": array.width, "encoder": options[encoder_key(name)]}
    if name == Modality.AUDIO:
        found["rate_hz"] = float(options["audio_hz"])
    if (layers := int(options.get(f"{name}_layers", 1))) > 1:
        found["layers"] = layers
    return found


def _agreed(key: str, dataset: ShardDataset, sets: Sets) -> Any:
    """One setting of the preprocessing, of those sets whose features depend on it; of all where none does."""
    kind = _PREPROCESSING[key]
    read = {one.folder.name: one.modalities for one in dataset.sets[0]}
    concerned = [n for n in sets if any(key in Modality[m.upper()].made_with for m in read.get(n, ()))] or list(sets)[
        :1
    ]
    values = {name: kind(sets[name][key]) for name in concerned}
    # Of what others extracted the preprocessing is not known, and no media are read for it.
    ours = {name: values[name] for name in concerned if OPTION in sets[name]}
    if len({*ours.values()}) > 1:
        (one, mine), (other, theirs) = next((a, b) for a in ours.items() for b in ours.items() if a[1] != b[1])
        raise UserError(
            f"data.shards: the features {one} and {other} were made with {key}={mine} and {theirs}, and no clip can be "
            f"prepared for both; extract one of them again with data.{key} of the other"
        )
    return min(values.values()) if key == "max_seconds" else max(values.values())


def _recorded(dataset: ShardDataset, sets: Sets) -> dict[str, Any] | None:
    """The record of the extraction, or of each that wrote a set; None where one is lacking."""
    records = [_origin(options.get(OPTION)) for options in sets.values()]
    known = [record for record in records if record is not None]
    if len(known) < len(records):
        return None
    for record, one in zip(known, dataset.sets[0], strict=False):
        encoders = record.get("encoders")
        if isinstance(encoders, dict):
            record["encoders"] = {name: found for name, found in encoders.items() if name in one.modalities}
    return known[0] if len(known) == 1 else {"sets": known}


def _origin(text: str | None) -> dict[str, Any] | None:
    try:
        found = None if text is None else json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _shared(dataset: ShardDataset) -> Sets:
    """Options by the name of the set, "" of a folder that is none of sets; those of all folders are alike."""
    each = [
        {one.folder.name: one.columns.options for one in sets} or {"": options}
        for sets, options in zip(dataset.sets, dataset.options, strict=True)
    ]
    for folder, sets in zip(dataset.folders, each, strict=True):
        for name, options in sets.items():
            first, own = _decisive(each[0][name]), _decisive(options)
            if different := sorted(key for key in first.keys() | own.keys() if first.get(key) != own.get(key)):
                raise UserError(
                    f"data.shards: the features of {dataset.folders[0]} and {folder} differ in {different[0]}; "
                    "extract them with the same encoders and settings, or give `pack features` the --maker of both"
                )
    return each[0]


def _decisive(options: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in options.items() if key not in _OWN}
