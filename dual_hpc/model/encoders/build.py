"""From `{"kind", "config", ...}` to an encoder with fresh weights; pretrained ones are loaded later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dual_hpc.errors import UserError
from dual_hpc.model.encoders.base import Encoder
from dual_hpc.model.encoders.features import StoredAudio, StoredText, StoredVideo
from dual_hpc.model.encoders.image import HALF, IMAGENET, PictureEncoder
from dual_hpc.model.encoders.logmel import LogMelEncoder
from dual_hpc.model.encoders.small_cnn import FaceEncoder
from dual_hpc.model.encoders.speech import SpeechEncoder
from dual_hpc.model.encoders.text import WordEncoder
from dual_hpc.model.load_errors import MISFITS, load_error_text

E = TypeVar("E", bound=Encoder)
FEATURES = "features"


def build_audio_encoder(spec: dict[str, Any], sample_rate: int) -> LogMelEncoder | SpeechEncoder | StoredAudio:
    """`logmel`, one of the wav2vec 2.0 family (`normalize`: see `SpeechEncoder`), or stored features."""
    if spec["kind"] == FEATURES:
        return _build("audio", lambda: StoredAudio(**spec["config"]))
    if spec["kind"] == "logmel":
        return _build("audio", lambda: LogMelEncoder(sample_rate, **spec["config"]))
    normalize = spec.get("normalize", True)
    return _build("audio", lambda: SpeechEncoder(spec["kind"], spec["config"], sample_rate, normalize))


def build_video_encoder(spec: dict[str, Any]) -> FaceEncoder | PictureEncoder | StoredVideo:
    """The small residual network, a transformers model (its configuration has a `model_type`), or stored features."""
    if spec["kind"] == FEATURES:
        return _build("video", lambda: StoredVideo(**spec["config"]))
    if spec["kind"] == "resnet" and "model_type" not in spec["config"]:
        return _build("video", lambda: FaceEncoder(**spec["config"]))
    scale = spec.get("scale") or (IMAGENET if spec["kind"] == "resnet" else HALF)
    return _build("video", lambda: PictureEncoder(spec["kind"], spec["config"], scale["mean"], scale["std"]))


def build_text_encoder(spec: dict[str, Any]) -> WordEncoder | StoredText:
    """A BERT, a RoBERTa, or stored features."""
    if spec["kind"] == FEATURES:
        return _build("text", lambda: StoredText(**spec["config"]))
    return _build("text", lambda: WordEncoder(spec["kind"], spec["config"]))


def _build(modality: str, make: Callable[[], E]) -> E:
    try:
        return make()
    except MISFITS as error:
        raise UserError(f"model.{modality}.config: {load_error_text(error)}") from error
