"""Typed configuration: schema, YAML presets, overrides, paths from the environment."""

from dual_hpc.config.identity import SURROUNDINGS, changed_since, config_hash, fixed, may_change, with_free_settings
from dual_hpc.config.load import load_config, preset_names, save_config, validate
from dual_hpc.config.schema import RunConfig

__all__ = [
    "SURROUNDINGS",
    "RunConfig",
    "changed_since",
    "config_hash",
    "fixed",
    "load_config",
    "may_change",
    "preset_names",
    "save_config",
    "validate",
    "with_free_settings",
]
