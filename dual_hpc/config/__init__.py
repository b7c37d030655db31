"""Typed configuration: schema, YAML presets, overrides, paths from the environment."""

from dual_hpc.config.identity import (
    ENVIRONMENT,
    config_hash,
    differences,
    different_settings,
    first_change,
    immutable_settings,
    is_prolonged,
    may_change,
    mutable_changes,
)
from dual_hpc.config.load import (
    as_before,
    load_config,
    preset_names,
    require_no_secret,
    save_config,
    update_config,
    validate,
)
from dual_hpc.config.schema import RunConfig

__all__ = [
    "ENVIRONMENT",
    "RunConfig",
    "as_before",
    "config_hash",
    "differences",
    "different_settings",
    "first_change",
    "immutable_settings",
    "is_prolonged",
    "load_config",
    "may_change",
    "mutable_changes",
    "preset_names",
    "require_no_secret",
    "save_config",
    "update_config",
    "validate",
]
