"""`dual-hpc config show|diff`: what a preset, a file or a run comes to, and in what two of them differ."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dual_hpc.config.schema import RunConfig

EXAMPLES = """\
examples:
  dual-hpc config show demo optim.lr=1e-4       # every setting of a run that `train` would start with these
  dual-hpc config show mine.yaml preset=demo    # as `train --preset demo --config mine.yaml`
  dual-hpc config show mine.yaml --changed      # only what is not the default
  dual-hpc config diff trial-1 trial-2          # the settings in which two runs, presets or files differ

A name is a preset, a .yaml file, or a run by its name or folder. A file may name the preset that it lies on, in a line
`preset: demo`; the command line comes last. `dual-hpc train --settings` says what each setting means.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "diff"))
    parser.add_argument("words", nargs="*", metavar="NAME KEY=VALUE", help="show: one name, and settings; diff: two names")
    parser.add_argument("--changed", action="store_true", help="show: only settings that are not the default")
    parser.add_argument("--store", metavar="DIR", help="where a run is looked up (default: DUAL_STORE, see `runs`)")


def run(args: argparse.Namespace) -> int:
    return _show(args) if args.action == "show" else _diff(args)


def _show(args: argparse.Namespace) -> int:
    from dual_hpc.config import different_settings, load_config
    from dual_hpc.config.yaml_text import write_yaml
    from dual_hpc.errors import UserError

    named = [word for word in args.words if "=" not in word]
    if len(named) > 1:
        raise UserError(f"config show: {named[1]} is a second name; `dual-hpc config diff {named[0]} {named[1]}`")
    config = _configuration(named[0] if named else None, [w for w in args.words if "=" in w], args.store)
    tree = config.model_dump(mode="json")
    if args.changed:
        tree = _nested({key: value for key, (_, value) in different_settings(load_config(), config).items()})
    print(write_yaml(tree) if tree else "{}", end="" if tree else "\n")
    return 0


def _diff(args: argparse.Namespace) -> int:
    import json

    from dual_hpc.config import different_settings
    from dual_hpc.errors import UserError
    from launch.cli.terminal import print_table

    if args.changed:
        raise UserError("--changed: is an option of `config show`, not of `config diff`")
    if len(args.words) != 2 or any("=" in word for word in args.words):
        raise UserError("config diff: write two names, of presets, .yaml files or runs")
    one, other = (_configuration(name, [], args.store) for name in args.words)
    found = different_settings(one, other)
    if not found:
        print("no setting differs")
        return 0
    from rich.table import Table

    table = Table("setting", *args.words, box=None)
    for key, values in found.items():
        table.add_row(key, *("" if value is None else _text(json.dumps(value, ensure_ascii=False)) for value in values))
    print_table(table)
    return 0


def _configuration(name: str | None, overrides: list[str], store: str | None) -> RunConfig:
    """A preset's or a file's, else that of the run of this name.

    Raises:
        UserError: there is none; names the nearest.
    """
    import difflib
    from pathlib import Path

    from dual_hpc.config import load_config, preset_names
    from dual_hpc.errors import UserError
    from launch.runs.plan import find_run

    if name is None or name in preset_names() or Path(name).suffix in (".yaml", ".yml"):
        return load_config(name, overrides)
    try:
        run = find_run(name, store)
    except UserError:
        if difflib.get_close_matches(name, preset_names(), n=1):
            return load_config(name)  # is refused, and says which preset was meant
        raise
    return load_config(run.config_file, overrides)


def _text(value: str) -> str:
    return value[1:-1] if value.startswith('"') else value


def _nested(settings: dict[str, object]) -> dict[str, object]:
    """Sections of sections, from dotted keys."""
    tree: dict[str, object] = {}
    for key, value in settings.items():
        *above, last = key.split(".")
        inner: dict[str, object] = tree
        for part in above:
            inner = inner.setdefault(part, {})  # type: ignore[assignment]
        inner[last] = value
    return tree
