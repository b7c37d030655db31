"""An ablation as a sweep: a model as it is configured, and with each switch of its family turned, on the same seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import UserError

Switches = Mapping[str, tuple[str, ...]]  # what is turned -> settings

# What every family has: the modalities.
MODALITIES: Switches = {
    "no audio": ("model.use_audio=false",),
    "no video": ("model.use_video=false",),
    "no text": ("model.use_text=false",),
}


def switches_of(config: RunConfig) -> dict[str, tuple[str, ...]]:
    """The switches of the configuration's family that would change something: name -> settings."""
    from dual_hpc.model.family import FAMILIES

    offered = {**FAMILIES.get(config.model.family).switches, **MODALITIES}
    return {name: settings for name, settings in offered.items() if all(_changes(config, one) for one in settings)}


def members(switches: Switches, seeds: Sequence[int], folds: Sequence[int | str] = ()) -> list[list[str]]:
    """The overrides of each member of the sweep: everything as configured first, then each switch turned.

    Args:
        folds: test folds; empty: that of the configuration.
    """
    places = [
        [*([] if fold is None else [f"data.test_fold={fold}"]), f"seed={seed}"]
        for fold, seed in itertools.product(folds or (None,), seeds)
    ]
    return [[*settings, *place] for settings in [(), *switches.values()] for place in places]


def chosen(switches: Switches, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The switches of these names, all of them if there are no names.

    Raises:
        UserError: there is none of a name.
    """
    for name in names:
        if name not in switches:
            raise UserError(f"--only: there is no switch {name!r}; this model has {', '.join(switches)}")
    return {name: settings for name, settings in switches.items() if not names or name in names}


def _changes(config: RunConfig, setting: str) -> bool:
    """Whether the setting, `section.key=value`, differs from what is configured."""
    key, _, value = setting.partition("=")
    section, _, name = key.partition(".")
    now = getattr(getattr(config, section), name)
    return str(now).lower() != value
