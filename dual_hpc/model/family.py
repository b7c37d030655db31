"""Model families: what training, export, evaluation and prediction know of a model. Loading this loads no model.

A saved model is one of the family that its config.json names as `model_type`; a configuration chooses one by
`model.family`. Adding one: a module that makes a `ModelFamily` and registers it, and a line in `FAMILIES`; a plugin
needs its own module only.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dual_hpc.config.schema import Section
from dual_hpc.config.validation_errors import explain
from dual_hpc.errors import UserError
from dual_hpc.modality import ALL_MODALITIES, Modality, parse_subset
from dual_hpc.model.inputs import INPUTS
from dual_hpc.registry import Registry

if TYPE_CHECKING:
    from dual_hpc.config.schema import ModelConfig
    from dual_hpc.model.emotion_config import EmotionConfig
    from dual_hpc.model.emotion_model import EmotionModel


@dataclass(frozen=True)
class ModelFamily:
    """A model as the rest of the project sees it.

    Attributes:
        config, model: its classes, or where they are, "package.module:Class", to be loaded when they are needed.
        losses: names of the losses that its output reports; `loss`, which is trained, comes first.
        encoders: names of the model's parts that learn at their own rate, `optim.encoder_lr_scale`.
        inputs: tensors of a batch that its `forward` takes, besides `labels`.
        matrices: names of f32 [B, T, T] in its output when `forward` is given `output_alignment=True`: how alike audio
            step i and video step j are, within the output's `mask`, bool [B, T].
        attends_to_text: its output has `text_attention`, f32 [B, L], when `forward` is given
            `output_text_attention=True`: how much the answer looks at each token, at most 1 in sum.
        options: what `model.options` may hold; None: nothing.
        switches: its own parts that an ablation turns off, besides the modalities: name -> settings of the
            configuration, as "model.use_sdm=false".
        check: refuses settings that make no model, with a `UserError` that names them.
        reads: letters of the modalities that it can read.
        complete: the options of a new run, from the run's settings and the description of its encoders: what the user
            leaves open is decided once, and written in the run's model.json. None: what the user says.
    """

    config: type[EmotionConfig] | str
    model: type[EmotionModel] | str
    losses: tuple[str, ...] = ("loss",)
    encoders: tuple[str, ...] = ("audio_encoder", "video_encoder", "text_encoder")
    inputs: tuple[str, ...] = INPUTS
    matrices: tuple[str, ...] = ()
    attends_to_text: bool = False
    options: type[Section] | None = None
    switches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    check: Callable[[ModelConfig], None] = lambda config: None
    reads: str = ALL_MODALITIES
    complete: Callable[[ModelConfig, EmotionConfig], dict[str, Any]] | None = None

    @property
    def config_class(self) -> type[EmotionConfig]:
        """Its configuration, a `PreTrainedConfig`."""
        return _loaded(self.config)

    @property
    def model_class(self) -> type[EmotionModel]:
        """Its model, a `PreTrainedModel`."""
        return _loaded(self.model)

    def narrowed(self, config: ModelConfig) -> ModelConfig:
        """The section with those modalities switched off that the model cannot read.

        Raises:
            UserError: none is left.
        """
        used = [name for name in Modality if getattr(config, f"use_{name}")]
        if not (kept := set(used) & set(parse_subset(self.reads))):
            unused = " and ".join(f"model.use_{name}" for name in parse_subset(self.reads))
            raise UserError(f"{unused}: off, and model.family={config.family} reads nothing else; switch it on")
        if kept == set(used):
            return config
        return config.model_copy(update={f"use_{name}": False for name in used if name not in kept})

    def check_settings(self, config: ModelConfig) -> None:
        """Refuse what no data can make good.

        Raises:
            UserError: names the settings.
        """
        if self.options is None and config.options:
            raise UserError(f"model.options.{min(config.options)}: the model {config.family!r} takes no options")
        if self.options is not None:
            try:
                self.options.model_validate(config.options)
            except ValidationError as error:
                raise UserError(f"model.options.{explain(error, self.options)}") from error
        self.check(self.narrowed(config))


FAMILIES: Registry[ModelFamily] = Registry(
    "model",
    "model.family",
    {
        "dual": "dual_hpc.model.dual.family",
        "text_only": "dual_hpc.model.baselines.single_modality",
        "audio_only": "dual_hpc.model.baselines.single_modality",
        "video_only": "dual_hpc.model.baselines.single_modality",
        "late_fusion": "dual_hpc.model.baselines.late_fusion",
        "early_fusion": "dual_hpc.model.baselines.early_fusion",
        "concat_gru": "dual_hpc.model.baselines.concat_gru",
        "mult": "dual_hpc.model.baselines.mult",
        "mmin": "dual_hpc.model.baselines.mmin",
    },
)


def register_family(family: ModelFamily) -> ModelFamily:
    """Register a family whose classes are loaded, under its `model_type`; transformers' Auto classes know it then too.

    Raises:
        UserError: another family has this name.
    """
    from transformers import AutoConfig, AutoModel

    name = family.config_class.model_type
    FAMILIES.register(name, family)
    AutoConfig.register(name, family.config_class, exist_ok=True)
    AutoModel.register(family.config_class, family.model_class, exist_ok=True)
    return family


def family_of(content: dict[str, Any], where: object) -> ModelFamily:
    """The family of a saved model.

    Args:
        content: of its config.json.
        where: where that is, for messages.

    Raises:
        UserError: no family of its `model_type` is registered; names the plugins that it was made with.
    """
    kind = content.get("model_type")
    if isinstance(kind, str) and kind in FAMILIES:
        return FAMILIES.get(kind)
    if plugins := recorded_plugins(content):
        raise UserError(f"model: {where}: model type {kind!r} is registered by {_plugins(plugins)}")
    raise UserError(f"model: {where} holds a {kind!r} model, not one of {', '.join(FAMILIES)}")


def recorded_plugins(content: dict[str, Any]) -> list[str]:
    """The plugins that a saved model was made with."""
    found = content.get("plugins")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _plugins(names: list[str]) -> str:
    flags = " ".join(f"--plugin {name}" for name in names)
    return f"the plugin{'s' if len(names) > 1 else ''} {', '.join(names)}: add {flags}"


def _loaded(found: Any) -> Any:
    if not isinstance(found, str):
        return found
    module, _, name = found.partition(":")
    return getattr(importlib.import_module(module), name)
