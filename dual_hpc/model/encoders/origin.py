"""Which encoders made the features that a model was trained on: recorded, found again, and given away with the model.

`dual-hpc extract` writes the record into the index of the features, training copies it into the model's `config.json`
(`feature_encoders`; where several sets are read, the records of all). From there the encoders are loaded from where
they lay, or from the folder `encoders/` of a model that was exported with them. Either way their weights must have the
recorded hash: other encoders make other features, and the model would answer as if nothing were wrong.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file

from dual_hpc.errors import UserError
from dual_hpc.files.real_path import real_path
from dual_hpc.files.regular_file import first_irregular
from dual_hpc.model.encoders.describe import build_encoder
from dual_hpc.model.encoders.frozen import FrozenEncoders, identity_of, weights_of, words_of
from dual_hpc.model.encoders.registry import ENCODERS, FEATURES, MODALITIES
from dual_hpc.model.load_errors import load_error_text
from dual_hpc.model.preprocessing import preprocessing_mistake
from dual_hpc.model.self_contained import bytes_of_weights, first_danger
from dual_hpc.model.tokenizer import load_tokenizer

KEY = "feature_encoders"  # in a model's config.json
SETS = "sets"  # in it, the records of several extractions
OPTION = "encoders"  # in the index of features
FOLDER = "encoders"  # in a model that was exported with them
_WEIGHTS = "encoders.safetensors"


class EncoderOrigin(BaseModel):
    """One encoder.

    Attributes:
        spec: its complete description, with all its layers; see `EmotionConfig`.
        path: the folder that its weights came from.
        saved_model: the folder holds a whole model of ours, not a pretrained encoder.
        revision: of the snapshot of a model hub that the folder is; None where its name does not say.
        weights: SHA-256 of its weights.
        identity: of description and weights, as the index of the features spells it.
        side_by_side: layers that lie side by side in the features, by their numbers; None: the last, or their mix.
        precision: of its parameters when it made them; `weights` are those before they were rounded.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    spec: dict[str, Any]
    path: str
    saved_model: bool = False
    revision: str | None = None
    weights: str
    identity: str
    side_by_side: list[int] | None = None
    precision: Literal["fp32", "bf16"] = "fp32"

    def identity_with(self, encoder: Any) -> str:
        """What `identity` would be if it were this encoder."""
        found = identity_of(self.spec, encoder)
        if self.side_by_side is not None:
            found = _hashed(f"{found} layers {','.join(map(str, self.side_by_side))}")
        return _hashed(f"{found} bf16") if self.precision == "bf16" else found


class FeatureEncoders(BaseModel):
    """All encoders of an extraction.

    Attributes:
        encoders: by modality.
        preprocessing: of the media that they read; see `EmotionConfig`.
        tokenizer: the folder of the tokenizer of the text encoder; None without one.
        words: hash of its vocabulary.
        dtype: in which the features are stored.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    encoders: dict[Literal["audio", "video", "text"], EncoderOrigin]
    preprocessing: dict[str, Any]
    tokenizer: str | None = None
    words: str | None = None
    dtype: Literal["float16", "float32"]


def origin_of(
    modules: Mapping[str, Any],
    specs: Mapping[str, dict[str, Any]],
    paths: Mapping[str, str],
    preprocessing: Mapping[str, Any],
    tokenizer: Any,
    *,
    saved_model: bool,
) -> str:
    """The record of encoders, as JSON; `dtype` is that of the extraction and is set there.

    Args:
        modules, specs, paths: by modality; the folders that the weights came from.
        saved_model: the folders hold a whole model of ours.
    """
    folders = {name: str(Path(path).absolute()) for name, path in paths.items()}
    encoders: Any = {
        name: EncoderOrigin(
            spec=specs[name],
            path=folders[name],
            saved_model=saved_model,
            revision=_revision(folders[name]),
            weights=weights_of(encoder),
            identity=identity_of(specs[name], encoder),
        )
        for name, encoder in modules.items()
    }
    record = FeatureEncoders(
        encoders=encoders,
        preprocessing=dict(preprocessing),
        tokenizer=folders.get("text") if tokenizer is not None else None,
        words=words_of(tokenizer),
        dtype="float32",
    )
    return record.model_dump_json()


def side_by_side(origin: str, modules: Mapping[str, Any], layers: Mapping[str, list[int]]) -> FeatureEncoders:
    """A record of encoders that give these layers by now.

    Args:
        origin: the record without.
        modules, layers: by modality.
    """
    record = FeatureEncoders.model_validate_json(origin)
    changed: dict[Any, EncoderOrigin] = {}
    for name, numbers in layers.items():
        one = record.encoders[name]  # type: ignore[index]
        spec = {key: value for key, value in one.spec.items() if key != "layers"}  # whose mix is not asked for
        one = one.model_copy(update={"spec": spec, "side_by_side": numbers, "weights": weights_of(modules[name])})
        changed[name] = one.model_copy(update={"identity": one.identity_with(modules[name])})
    return record.model_copy(update={"encoders": {**record.encoders, **changed}})


def in_half_precision(origin: str) -> FeatureEncoders:
    """A record of encoders whose parameters are rounded to bfloat16 now."""
    record = FeatureEncoders.model_validate_json(origin)
    changed: dict[Any, EncoderOrigin] = {
        name: one.model_copy(update={"precision": "bf16", "identity": _hashed(f"{one.identity} bf16")})
        for name, one in record.encoders.items()
    }
    return record.model_copy(update={"encoders": changed})


def recorded_encoders(content: Mapping[str, Any], where: object) -> list[FeatureEncoders]:
    """The records in a model's configuration, one of each extraction, in the order of their features.

    Raises:
        UserError: there is none, as in models of earlier versions, or it is not one.
    """
    if content.get(KEY) is None:
        raise UserError(
            f"model: {where} was trained on features, and does not say which encoders made them (its shards are of an "
            "earlier version or of `pack features`); run `dual-hpc extract` and train again, give a model of media, or "
            "shards of features"
        )
    several = content[KEY].get(SETS) if isinstance(content[KEY], Mapping) else None
    records = several if isinstance(several, list) and several else [content[KEY]]
    found = []
    for record in records:
        try:
            found.append(FeatureEncoders.model_validate(record))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, (KEY, *first["loc"])))
            raise UserError(f"model: {where}: {name} in its config.json is not valid ({first['msg']})") from error
        if mistake := preprocessing_mistake(found[-1].preprocessing):
            raise UserError(f"model: {where}: {KEY}.{mistake}")
    return found


def load_encoders(
    records: Sequence[FeatureEncoders], used: Collection[str], folder: Path, load_saved: Any
) -> list[FrozenEncoders]:
    """The encoders of each record, from the model's own folder if it holds them, else from where they came from.

    Args:
        used: modalities that the model reads.
        folder: of the model.
        load_saved: `dual_hpc.model.saved.load_model`.

    Raises:
        UserError: they are not there, or are others than those that made the features.
        EnvironmentFault: the saved model that holds them is damaged.
    """
    for name in used:
        if not any(name in record.encoders for record in records):
            raise UserError(f"model: {folder}: {KEY} in its config.json names no {name} encoder")
    owns = _own_folders(folder, len(records))
    return [_loaded(record, used, folder, own, load_saved) for record, own in zip(records, owns, strict=True)]


def _loaded(record: FeatureEncoders, used: Collection[str], folder: Path, own: Path, load_saved: Any) -> FrozenEncoders:
    inside = (own / _WEIGHTS).is_file()
    weights = _own_weights(own) if inside else {}
    saved: dict[str, Any] = {}
    modules: dict[str, Any] = {}
    for name in (name for name in MODALITIES if name in used and name in record.encoders):
        one = record.encoders[name]
        where = own if inside else Path(one.path)
        if not inside and not where.is_dir():
            raise UserError(
                f"model: {folder} was trained on features; the {name} encoder that made them lay in {where}, which is "
                "not there: put it back, or export the model where it is with `dual-hpc ckpt export --with-encoders`"
            )
        if one.saved_model and not inside:
            saved[one.path] = saved.get(one.path) or load_saved(where)[0]
            encoder = _with_layers(name, one, getattr(saved[one.path], f"{name}_encoder"))
        else:
            encoder = _built(name, one, record.preprocessing, where, weights if inside else None)
        if encoder is None or one.identity_with(encoder) != one.identity:
            raise UserError(
                f"model: the {name} encoder in {where} is not the one that made the features that {folder} was trained "
                f"on (its weights must have the SHA-256 {one.weights[:12]}...)"
            )
        modules[name] = encoder.float().eval().requires_grad_(False)
    tokenizer = _tokenizer(record, own if inside else None) if "text" in modules else None
    identity: dict[str, str] = {n: one.identity for n, one in record.encoders.items() if n in modules}
    made = dict(record.preprocessing)
    rounded = frozenset(n for n, one in record.encoders.items() if n in modules and one.precision == "bf16")
    return FrozenEncoders(modules, tokenizer, made, identity, torch.device("cpu"), dtype=record.dtype, in_bf16=rounded)


def save_encoders(encoders: Sequence[FrozenEncoders], folder: Path) -> None:
    """Write encoders into a model's folder, where `load_encoders` finds them.

    Raises:
        OSError, SafetensorError: they cannot be written.
    """
    for front, own in zip(encoders, _own_folders(folder, len(encoders)), strict=True):
        own.mkdir(parents=True)
        tensors = {
            f"{name}.{key}": tensor.detach().cpu().clone().contiguous()
            for name, module in front.modules.items()
            for key, tensor in module.state_dict().items()
        }
        save_file(tensors, own / _WEIGHTS)
        shutil.copymode(folder / "config.json", own / _WEIGHTS)  # safetensors makes them for their owner alone
        if front.tokenizer is not None:
            front.tokenizer.save_pretrained(own)


def _own_folders(folder: Path, count: int) -> list[Path]:
    """Where the encoders of each record lie in a model that was exported with them."""
    own = folder / FOLDER
    return [own] if count == 1 else [own / str(number) for number in range(count)]


def _built(
    name: str, one: EncoderOrigin, preprocessing: dict[str, Any], where: Path, weights: dict[str, Any] | None
) -> Any:
    """An encoder of its description, with the weights of its pretrained folder or with those given."""
    kind = one.spec.get("kind")
    if kind == FEATURES or not isinstance(kind, str) or not isinstance(one.spec.get("config"), dict):
        raise UserError(f"model: {KEY}.encoders.{name}.spec in its config.json describes no encoder")
    if danger := first_danger(one.spec, bytes_of_weights(where)):
        raise UserError(f"model: {KEY}.encoders.{name}.spec: {danger}")
    encoder = _with_layers(name, one, build_encoder(name, one.spec, preprocessing))
    if weights is None:
        ENCODERS[name].get(kind).load(encoder, str(where), f"model.{name}")
        return encoder
    own = {key.removeprefix(f"{name}."): tensor for key, tensor in weights.items() if key.startswith(f"{name}.")}
    try:
        encoder.load_state_dict(own)
    except RuntimeError as error:
        raise UserError(f"model: {where} does not hold the {name} encoder ({load_error_text(error)})") from error
    return encoder


def _with_layers(name: str, one: EncoderOrigin, encoder: Any) -> Any:
    """The encoder, that gives the layers which lie side by side."""
    if one.side_by_side is not None and encoder is not None:
        try:
            encoder.give_layers(one.side_by_side)
        except (AttributeError, ValueError) as error:
            raise UserError(f"model: {KEY}.encoders.{name}.side_by_side in its config.json: {error}") from error
    return encoder


def _own_weights(own: Path) -> dict[str, torch.Tensor]:
    if (irregular := first_irregular(own)) is not None:
        raise UserError(f"model: {own}/{irregular}, not a file")
    try:
        return load_file(own / _WEIGHTS)
    except Exception as error:  # safetensors has an error of its own
        raise UserError(f"model: {own / _WEIGHTS} cannot be read ({load_error_text(error)})") from error


def _tokenizer(record: FeatureEncoders, own: Path | None) -> Any:
    if own is None and record.tokenizer is None:
        raise UserError(f"model: {KEY} in its config.json names no tokenizer for its text encoder")
    tokenizer = load_tokenizer(own or str(record.tokenizer))
    if words_of(tokenizer) != record.words:
        raise UserError(f"model: the tokenizer in {own or record.tokenizer} is not the one that made the text features")
    return tokenizer


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _revision(path: str) -> str | None:
    """The commit of a model hub's snapshot, .../snapshots/COMMIT."""
    found = re.search(r"/snapshots/([0-9a-f]{40})(/|$)", str(real_path(path)) + "/")
    return None if found is None else found[1]
