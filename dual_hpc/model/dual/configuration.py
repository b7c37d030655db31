"""`DualConfig`: everything a saved model needs to be built again, in the Hugging Face way."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from dual_hpc.config.schema import ModelConfig
from dual_hpc.config.validation_errors import explain
from dual_hpc.model.torchaudio_stub import open_door

open_door()

from transformers import AutoConfig, PreTrainedConfig  # noqa: E402


class DualConfig(PreTrainedConfig):
    """Configuration of DUAL.

    Args:
        audio, video, text: one encoder each, `{"kind", "trainable", "config"}`; `config` is complete, so a saved model
            never asks for the pretrained directory that it came from. See `dual_hpc/model/encoders/`. Of the kind
            `features` are all that are used, or none.
        labels: display names of the classes, in the order of the logits.
        class_counts: samples per class in the training split (class weights, logit adjustment).
        preprocessing: `sample_rate` (Hz), `image_size` (pixels), `video_hz`, `max_seconds`, `max_tokens`: how a
            sample was prepared in training, and so must be in prediction.

    The other keys are those of `dual_hpc.config.schema.ModelConfig`, with the same defaults and meaning; only
    `temperature` is `alignment_temperature` here, because transformers keeps that name for text generation.
    """

    model_type = "dual"

    def __init__(
        self,
        audio: dict[str, Any] | None = None,
        video: dict[str, Any] | None = None,
        text: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        class_counts: list[int] | None = None,
        preprocessing: dict[str, Any] | None = None,
        hidden_size: int = 128,
        grid_hz: float = 10.0,
        residual_layers: int = 2,
        decoder_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        alignment_temperature: float = 0.1,
        learn_temperature: bool = False,
        align_across_batch: bool = False,
        lambda_static: float = 0.1,
        lambda_dynamic: float = 0.1,
        use_sdm: bool = True,
        use_vdm: bool = True,
        use_residual: bool = True,
        use_static_alignment: bool = True,
        use_dynamic_alignment: bool = True,
        use_audio: bool = True,
        use_video: bool = True,
        use_text: bool = True,
        loss: str = "cross_entropy",
        focal_gamma: float = 2.0,
        label_smoothing: float = 0.0,
        class_weights: bool = True,
        kernels: str = "auto",
        **kwargs: Any,
    ) -> None:
        self.audio = audio or {"kind": "logmel", "trainable": "all", "config": {}}
        self.video = video or {"kind": "resnet", "trainable": "all", "config": {}}
        self.text = text or {"kind": "bert", "trainable": "all", "config": {}}
        self.class_counts = class_counts
        self.preprocessing = {
            "sample_rate": 16_000,
            "image_size": 112,
            "video_hz": 5.0,
            "max_seconds": 20.0,
            "max_tokens": 64,
            **(preprocessing or {}),
        }
        self.hidden_size = hidden_size
        self.grid_hz = grid_hz
        self.residual_layers = residual_layers
        self.decoder_layers = decoder_layers
        self.num_heads = num_heads
        self.dropout = dropout
        self.alignment_temperature = alignment_temperature
        self.learn_temperature = learn_temperature
        self.align_across_batch = align_across_batch
        self.lambda_static = lambda_static
        self.lambda_dynamic = lambda_dynamic
        self.use_sdm = use_sdm
        self.use_vdm = use_vdm
        self.use_residual = use_residual
        self.use_static_alignment = use_static_alignment
        self.use_dynamic_alignment = use_dynamic_alignment
        self.use_audio = use_audio
        self.use_video = use_video
        self.use_text = use_text
        self.loss = loss
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        self.kernels = kernels
        if labels is not None:
            kwargs["id2label"] = dict(enumerate(labels))
            kwargs["label2id"] = {label: number for number, label in enumerate(labels)}
        super().__init__(**kwargs)

    @property
    def reads_features(self) -> bool:
        """True if features made by `dual-hpc extract` take the place of media."""
        used = {"audio": self.use_audio, "video": self.use_video, "text": self.use_text}
        return any(on and getattr(self, name)["kind"] == "features" for name, on in used.items())

    @property
    def modalities(self) -> str:
        """Those that the model reads, of "avt"."""
        used = {"a": self.use_audio, "v": self.use_video, "t": self.use_text}
        return "".join(letter for letter, on in used.items() if on)

    @property
    def labels(self) -> list[str]:
        """Display names of the classes, in the order of the logits."""
        names: dict[Any, str] = dict(self.id2label or {})
        return [names[number] for number in sorted(names)]


def first_mistake(content: dict[str, Any]) -> str | None:
    """The first key of a `config.json` whose value no training could have written, in one line; None: there is none."""
    known = {name: content[name] for name in ModelConfig.model_fields if name in content}
    known |= {"temperature": content["alignment_temperature"]} if "alignment_temperature" in content else {}
    for name in ("audio", "video", "text"):
        if isinstance(spec := known.get(name), dict):
            known[name] = {key: spec[key] for key in ("kind", "trainable", "config") if key in spec}
    try:
        ModelConfig.model_validate(known, strict=True)
    except ValidationError as error:
        return explain(error)
    return None


AutoConfig.register(DualConfig.model_type, DualConfig, exist_ok=True)
