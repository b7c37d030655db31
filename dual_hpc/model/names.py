"""The names that a configuration chooses a model by: are they registered, and by which plugins? Loads no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dual_hpc.model.encoders.registry import ENCODERS, MODALITIES
from dual_hpc.model.family import FAMILIES
from dual_hpc.model.losses.registry import LOSSES

if TYPE_CHECKING:
    from dual_hpc.config.schema import ModelConfig


def check_names(config: ModelConfig) -> None:
    """Refuse names that nothing is registered under, and settings that the family refuses; loads little.

    Raises:
        UserError: names the setting, and the nearest name.
    """
    family = FAMILIES.get(config.family)
    LOSSES.check(config.loss)
    for name in MODALITIES:
        ENCODERS[name].check(getattr(config, name).kind)
    family.check_settings(config)


def plugins_of(config: ModelConfig) -> list[str]:
    """The plugins that registered what this model is made of."""
    kinds = [ENCODERS[name].plugin_of(getattr(config, name).kind) for name in MODALITIES]
    found = [FAMILIES.plugin_of(config.family), *kinds, LOSSES.plugin_of(config.loss)]
    return list(dict.fromkeys(name for name in found if name is not None))
