"""`dual-hpc config show|diff|init`: what a configuration comes to, in what two differ, and a file to begin with."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dual_hpc.config.schema import RunConfig

EXAMPLES = """\
examples:
  dual-hpc config show demo optim.lr=1e-4       # every setting of a run that `train` would start with these
  dual-hpc config show mine.yaml preset=demo    # as `train --preset demo --config mine.yaml`
  dual-hpc config show mine.yaml --changed      # only what is not the default
  dual-hpc config diff trial-1 trial-2          # the settings in which two runs, presets or files differ
  dual-hpc config init mine.yaml --shards store/shards/mine    # a file with what these shards need, to begin with
  dual-hpc config init                          # the presets, and what each is for

A name is a preset, a .yaml file, or a run by its name or folder. A file may name the preset that it lies on, in a line
`preset: demo`; the command line comes last. `dual-hpc train --settings` says what each setting means.
"""

OPTIONS = {"changed": "show", "preset": "init", "shards": "init"}  # option -> the action it is for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "diff", "init"))
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME KEY=VALUE",
        help="show: one name, and settings; diff: two names; init: the new file",
    )
    parser.add_argument("--changed", action="store_true", help="show: only settings that are not the default")
    parser.add_argument("--preset", metavar="NAME", help="init: begin with this one (default: what fits the shards)")
    parser.add_argument("--shards", metavar="DIR", action="append", default=[], help="init: look at these (repeatable)")
    parser.add_argument("--store", metavar="DIR", help="where a run is looked up (default: DUAL_STORE, see `runs`)")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError

    for option, action in OPTIONS.items():
        if getattr(args, option) and args.action != action:
            raise UserError(f"--{option}: is an option of `config {action}`, not of `config {args.action}`")
    return {"show": _show, "diff": _diff, "init": _init}[args.action](args)


def _init(args: argparse.Namespace) -> int:
    from pathlib import Path

    from dual_hpc.config import load_config
    from dual_hpc.data.format.columns_cache import open_columns
    from dual_hpc.data.format.utterances import Utterances
    from dual_hpc.errors import UserError
    from launch.runs.starter import preset_lines, starter

    if not args.words and not args.shards and not args.preset:
        print(*preset_lines(), sep="\n")
        return 0
    if len(args.words) > 1 or (args.words and Path(args.words[0]).suffix not in (".yaml", ".yml")):
        raise UserError("config init: write one new file, as mine.yaml")
    if args.preset:
        load_config(args.preset)  # which names the nearest where there is none
    folders = [str(Path(folder).absolute()) for folder in args.shards]
    utterances = Utterances([open_columns(Path(folder)) for folder in folders]) if folders else None
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(args.words[0]).stem if args.words else "mine").lstrip("._-") or "mine"
    text = starter(name[:64], args.preset, folders, utterances)
    if not args.words:
        print(text, end="")
        return 0
    try:
        with open(args.words[0], "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{args.words[0]} exists already; choose another name") from None
    print(f"{args.words[0]}: `dual-hpc train --config {args.words[0]}` trains it, here")
    return 0


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
