"""An ablation as a sweep: a model as it is configured, and with each switch of its family turned, on the same seeds."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dual_hpc.config.schema import ModelConfig, RunConfig
from dual_hpc.config.yaml_text import read_yaml
from dual_hpc.errors import UserError
from launch.sweeps.grid import axis

if TYPE_CHECKING:
    from dual_hpc.model.family import ModelFamily

Switches = Mapping[str, tuple[str, ...]]  # what is turned -> settings

# What every family has: the modalities.
MODALITIES: Switches = {
    "no audio": ("model.use_audio=false",),
    "no video": ("model.use_video=false",),
    "no text": ("model.use_text=false",),
}


def switches_of(config: RunConfig) -> dict[str, tuple[str, ...]]:
    """The switches of the configuration's family that would make another model: name -> settings."""
    from dual_hpc.model.family import FAMILIES

    family = FAMILIES.get(config.model.family)
    own = {name: some for name, some in family.switches.items() if all(_changes(config, one) for one in some)}
    read = {name: some for name, some in MODALITIES.items() if _can_do_without(family, config.model, some)}
    return {**own, **read}


def seeds_of(text: str) -> list[int]:
    """`0..4` or `1,3` as seeds.

    Raises:
        UserError: it is neither.
    """
    words = axis(f"seeds={text}")[1]
    if wrong := [word for word in words if not re.fullmatch("[0-9]{1,9}", word)]:
        raise UserError(f"--seeds: {wrong[0]!r} is not a seed; write 0..4 or 0,1,2")
    return [int(word) for word in words]


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
            there = ", ".join(map(repr, switches)) or "none"
            raise UserError(f"--only: there is no switch {name!r} to turn; this configuration has {there}")
    return {name: settings for name, settings in switches.items() if not names or name in names}


def _changes(config: RunConfig, setting: str) -> bool:
    """Whether the setting, `section.key=value`, differs from what is configured."""
    key, _, value = setting.partition("=")
    now: Any = config
    for part in key.split("."):
        if isinstance(now, Mapping):  # of model.options, which may leave out what has a default
            if part not in now:
                return True
            now = now[part]
        else:
            now = getattr(now, part)
    return bool(now != read_yaml(value))


def _can_do_without(family: ModelFamily, model: ModelConfig, settings: Sequence[str]) -> bool:
    """Whether the family reads this modality, and can be trained without it."""
    off = {setting.removeprefix("model.").partition("=")[0]: False for setting in settings}
    try:
        read = family.narrowed(model)
        less = family.narrowed(model.model_copy(update=off))
        family.check_settings(less)
    except UserError:
        return False
    return less != read
