"""Settings that decide numbers and came when runs had been written already: what it means that a run lacks them.

A run's `config.yaml` holds every setting of its time. It goes on as it began, whatever a new one does by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BEFORE: dict[tuple[str, str], Any] = {
    ("training", "gradient_dtype"): "same",
    ("training", "channels_last"): "never",
}
_SECTIONS = ("data", "augment", "model", "optim", "training", "checkpoint", "tracking", "launch")


def missing_settings(tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(section, key) of those that a run's configuration lacks; none of another, where the default is meant.

    Args:
        tree: a configuration file's content. One that has every section, and a seed and a store, is a run's.
    """
    if not all(isinstance(tree.get(section), Mapping) for section in _SECTIONS) or not {"seed", "store"} <= tree.keys():
        return []
    return [(section, key) for section, key in BEFORE if key not in tree[section]]
