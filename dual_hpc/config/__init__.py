"""Typed configuration: schema, YAML presets, overrides, paths from the environment."""

from dual_hpc.config.load import config_hash, load_config, preset_names, save_config, validate
from dual_hpc.config.schema import RunConfig

__all__ = ["RunConfig", "config_hash", "load_config", "preset_names", "save_config", "validate"]
