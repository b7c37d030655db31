"""`EmotionConfig`: what the config.json of every model says, so that it is built, trained and served by one code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError

from dual_hpc.config.schema import ModelConfig
from dual_hpc.config.validation_errors import explain
from dual_hpc.errors import UserError
from dual_hpc.model.dimensions import DIMENSIONS, scale_mistake
from dual_hpc.model.encoders.registry import ENCODERS, FEATURES, MODALITIES
from dual_hpc.model.losses.registry import LOSSES
from dual_hpc.model.preprocessing import DEFAULTS, preprocessing_mistake
from dual_hpc.model.torchaudio_stub import install
from dual_hpc.model_manifest import KEY

install()

from transformers import PreTrainedConfig  # noqa: E402


class EmotionConfig(PreTrainedConfig):
    """Configuration of a model that recognises emotions from audio, video and text, in the Hugging Face way.

    A family's own class gives `model_type`, and `settings` where it takes more of the section `model` than all do.

    Args:
        audio, video, text: one encoder each, `{"kind", "trainable", "config"}`; `config` is complete, so a saved model
            never asks for the pretrained directory that it came from. See `dual_hpc/model/encoders/`. Of the kind
            `features` are all that are used, or none.
        labels: display names of the classes, in the order of the logits.
        class_counts: samples per class in the training split (class weights, logit adjustment).
        preprocessing: `sample_rate` (Hz), `image_size` (pixels), `video_hz`, `max_seconds`, `max_tokens`: how a
            sample was prepared in training, and so must be in prediction.
        preparation: what packing did to each clip before (`dual_hpc/data/preparation/record.py`), which prediction does
            again; None of a model of an earlier version.
        feature_encoders: of a model of features, the encoders that made them (`encoders/origin.py`); None of a model of
            media or of an earlier version.
        dimensions: `valence` and the like, which the model answers beside the classes -> mean and standard deviation in
            the training part; None: none.
        options: the family's own settings, `model.options`.
        plugins: modules that register the model, its encoders or its loss; they are recorded, never imported by
            themselves.
        kwargs: the keys named in `settings`, with the defaults of `dual_hpc.config.schema.ModelConfig`, and those of
            transformers.
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("hidden_size", "dropout", "use_audio", "use_video", "use_text"),
        *("loss", "focal_gamma", "label_smoothing", "class_weights"),
    )
    # Settings that have another name here, because transformers uses theirs.
    renamed: ClassVar[dict[str, str]] = {}

    if TYPE_CHECKING:
        audio: dict[str, Any]
        video: dict[str, Any]
        text: dict[str, Any]
        class_counts: list[int] | None
        preprocessing: dict[str, Any]
        hidden_size: int
        dropout: float
        use_audio: bool
        use_video: bool
        use_text: bool
        loss: str
        focal_gamma: float
        label_smoothing: float
        class_weights: bool
        dimensions: Mapping[str, list[float]]
    else:
        dimensions = MappingProxyType({})  # of models without any, whose config.json is as it always was

    def __init__(
        self,
        audio: dict[str, Any] | None = None,
        video: dict[str, Any] | None = None,
        text: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        class_counts: list[int] | None = None,
        preprocessing: dict[str, Any] | None = None,
        preparation: dict[str, Any] | None = None,
        feature_encoders: dict[str, Any] | None = None,
        dimensions: Mapping[str, list[float]] | None = None,
        options: dict[str, Any] | None = None,
        plugins: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        defaults = ModelConfig()
        for name, given in zip(MODALITIES, (audio, video, text), strict=True):
            setattr(self, name, given or _new_encoder(name, getattr(defaults, name).kind))
        self.class_counts = class_counts
        self.preprocessing = {**DEFAULTS, **(preprocessing or {})}
        for name in self.settings:
            own = self.renamed.get(name, name)
            setattr(self, own, kwargs.pop(own, getattr(defaults, name)))
        # Only where there is something to say: config.json of a model without them is as it always was.
        if preparation:
            self.preparation = dict(preparation)
        if feature_encoders:
            self.feature_encoders = dict(feature_encoders)
        if dimensions:
            # In the order of the outputs, which JSON's keys have not.
            self.dimensions = {name: list(dimensions[name]) for name in DIMENSIONS if name in dimensions}
        if options:
            self.options = dict(options)
        if plugins:
            self.plugins = list(plugins)
        kwargs.pop(KEY, None)  # of the folder that it was read from; another folder has no manifest yet
        if labels is not None:
            kwargs["id2label"] = dict(enumerate(labels))
            kwargs["label2id"] = {label: number for number, label in enumerate(labels)}
        super().__init__(**kwargs)

    def __init_subclass__(cls, *arguments: Any, **options: Any) -> None:
        # transformers makes a dataclass of each configuration, which would get another constructor.
        if "__init__" not in cls.__dict__:
            cls.__init__ = EmotionConfig.__init__  # type: ignore[method-assign]
        super().__init_subclass__(*arguments, **options)

    @classmethod
    def of_run(cls, model: ModelConfig, **further: Any) -> EmotionConfig:
        """The configuration that a run's section `model` makes; `further`: encoders, labels and the like."""
        keys = {cls.renamed.get(name, name): getattr(model, name) for name in cls.settings}
        return cls(options=model.options, **keys, **further)

    @property
    def reads_features(self) -> bool:
        """True if features made by `dual-hpc extract` take the place of media."""
        return any(getattr(self, f"use_{name}") and getattr(self, name)["kind"] == FEATURES for name in MODALITIES)

    @property
    def reads_words(self) -> bool:
        """True if the model needs a tokenizer."""
        return self.use_text and not self.reads_features

    @property
    def modalities(self) -> str:
        """Those that the model reads, of "avt"."""
        return "".join(name[0] for name in MODALITIES if getattr(self, f"use_{name}"))

    @property
    def labels(self) -> list[str]:
        """Display names of the classes, in the order of the logits."""
        names: dict[Any, str] = dict(self.id2label or {})
        return [names[number] for number in sorted(names)]

    @property
    def outputs(self) -> int:
        """How many numbers the model answers with: one per class, and one per dimension."""
        return len(self.labels) + len(self.dimensions)

    @classmethod
    def first_mistake(cls, content: dict[str, Any]) -> str | None:
        """The first key of a `config.json` whose value no training could have written, in one line; else None."""
        known = {name: content[own] for name in cls.settings if (own := cls.renamed.get(name, name)) in content}
        for name in MODALITIES:
            if isinstance(spec := content.get(name), dict):
                known[name] = {
                    key: spec[key] for key in ("kind", "trainable", "layers", "lora", "config") if key in spec
                }
            elif spec is not None:
                known[name] = spec
        try:
            settings = ModelConfig.model_validate(known, strict=True)
            LOSSES.check(settings.loss)
            for name in MODALITIES:
                ENCODERS[name].check(getattr(settings, name).kind)
        except ValidationError as error:
            return explain(error)
        except UserError as error:
            return str(error)
        return (
            preprocessing_mistake(content.get("preprocessing") or {})
            or _label_mistake(content.get("id2label"))
            or scale_mistake(content.get("dimensions"))
        )


def _label_mistake(found: Any) -> str | None:
    """The classes must be numbered from 0 and have names of their own."""
    if found is None or (isinstance(found, dict) and not all(str(number).isdecimal() for number in found)):
        return None  # the constructor takes numbers only
    if not isinstance(found, dict) or not all(isinstance(name, str) and name for name in found.values()):
        return "id2label: must give each class a name"
    if sorted(found) != sorted(map(str, range(len(found)))) or len(set(found.values())) != len(found):
        return "id2label: its classes must be numbered from 0 on and have different names"
    return None


def _new_encoder(modality: str, kind: str) -> dict[str, Any]:
    return {"kind": kind, "trainable": "all", "config": ENCODERS[modality].get(kind).new_config()}
