"""`dual-hpc ablate`: the switches of a model as a sweep, and what each of them is worth."""

from __future__ import annotations

import argparse
from pathlib import Path

from launch.cli.run_arguments import add_trust

EXAMPLES = """\
examples:
  dual-hpc ablate demo --shards shards/iemocap                      # trained and compared here, seeds 0 to 4
  dual-hpc ablate demo --list                                       # the switches of the model, and their settings
  dual-hpc ablate iemocap4 --folds all --seeds 0..4 --profile jean-zay-a100 launch.account=abc@a100
  dual-hpc ablate iemocap4 --only "no SDM" --only "no VDM" model.hidden_size=96
  dual-hpc ablate --show demo-ablation --out ablation/              # the table of differences

The sweep is called PRESET-ablation, or as name=... says: one experiment as configured ("full"), and one for each
switch, on the same folds and seeds. On this machine it is trained, evaluated and compared; on a cluster `dual-hpc
submit -- sweep --evaluate NAME` and then `--show NAME` follow when it has finished. A difference is the model without
the part minus the full one: below 0, the part is worth something.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="PRESET|FILE KEY=VALUE", help="a configuration, and settings of it")
    parser.add_argument("--shards", metavar="DIR", action="append", default=[], help="packed shards (repeatable)")
    parser.add_argument("--seeds", default="0..4", metavar="A..B|A,B", help="seeds of each experiment (default 0..4)")
    parser.add_argument("--folds", metavar="all|A,B", help="test folds (default: that of the configuration)")
    parser.add_argument("--only", action="append", default=[], metavar="SWITCH", help="this switch (repeatable)")
    parser.add_argument("--profile", metavar="NAME|FILE", help="cluster profile; the same as launch.profile=NAME")
    parser.add_argument("--parallel", type=int, metavar="N", help="members that run at a time (default 8; here 1)")
    parser.add_argument("--list", action="store_true", help="print the switches, and train nothing")
    parser.add_argument("--dry-run", action="store_true", help="print the members; submit nothing")
    parser.add_argument("--show", metavar="NAME", help="print the table of differences of a sweep that was evaluated")
    parser.add_argument("--store", metavar="DIR", help="where NAME of --show is looked up (default: DUAL_STORE)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for tables and figures")
    parser.add_argument("--json", action="store_true", help="every number as JSON instead of tables")
    add_trust(parser)


def run(args: argparse.Namespace) -> int:
    from dual_hpc.config import load_config
    from dual_hpc.errors import UserError
    from dual_hpc.plugins import load_plugins
    from dual_hpc.printable import json_line
    from launch.cluster.profiles import load_profile
    from launch.sweeps.ablation import chosen, switches_of

    if args.show:
        if args.words:
            raise UserError(f"--show takes a sweep that exists, without {args.words[0]}")
        return show(args.show, args)
    if not args.words or "=" in args.words[0]:
        raise UserError("ablate what? Name a preset or a YAML file, or --show NAME")
    source, *overrides = args.words
    overrides += [f"launch.profile={args.profile}"] if args.profile else []
    config = load_config(source, overrides)
    load_plugins(config.plugins)
    switches = chosen(switches_of(config), args.only)
    if args.list and args.json:
        print(json_line(switches))
        return 0
    if args.list:
        width = max(map(len, switches), default=0)
        print(*(f"{name:{width}}  {' '.join(settings)}" for name, settings in switches.items()), sep="\n")
        return 0
    if not switches:
        raise UserError(f"model.family={config.model.family} has no part that could be turned off here")
    if not any(word.startswith("name=") for word in overrides):
        overrides.append(f"name={config.name}-ablation")
    profile = load_profile(config.launch.profile)
    code = submit(source, overrides, switches, args)
    name = next(word for word in reversed(overrides) if word.startswith("name=")).partition("=")[2]
    if code or args.dry_run:
        return code
    if profile.executor == "slurm":
        then = f"`dual-hpc submit -- sweep --evaluate {name}`, then `dual-hpc ablate --show {name}`"
        print(f"when it has finished: {then}")
        return 0
    return evaluate_and_show(name, config.store, args)


def submit(source: str, overrides: list[str], switches: dict[str, tuple[str, ...]], args: argparse.Namespace) -> int:
    """Hand the members to `dual-hpc sweep`."""
    import shlex

    from launch.cli import sweep
    from launch.cli.main import build_parser
    from launch.sweeps.ablation import members, seeds_of
    from launch.sweeps.grid import axis
    from launch.sweeps.plan import folds_of_settings

    folds: list[str] = []
    if args.folds:
        folds = axis(f"folds={args.folds}", folds_of_settings(source, overrides, args.shards)(()))[1]
    seeds = seeds_of(args.seeds)
    words = ["--config" if source.endswith((".yaml", ".yml")) else "--preset", source, *overrides]
    words += [word for folder in args.shards for word in ("--shards", folder)]
    words += [word for member in members(switches, seeds, folds) for word in ("--member", shlex.join(member))]
    words += ["--parallel", str(args.parallel)] if args.parallel is not None else []
    words += [*(["--dry-run"] if args.dry_run else []), *(["--trust"] if args.trust else [])]
    return sweep.run(build_parser("sweep", sweep).parse_intermixed_args(words))


def evaluate_and_show(name: str, store: str, args: argparse.Namespace) -> int:
    """The test scores of every member, and the table."""
    from launch.cli import sweep
    from launch.sweeps.grid import SweepDir

    args.store = store
    sweep.evaluate(SweepDir.open(Path(store).absolute(), name), args.trust)
    return show(name, args)


def show(name: str, args: argparse.Namespace) -> int:
    """The differences from the full model."""
    from dual_hpc.config.paths import default_store
    from dual_hpc.errors import UserError
    from dual_hpc.evaluation.comparison.comparison import compare, with_reference
    from dual_hpc.evaluation.comparison.files import write_comparison
    from dual_hpc.printable import json_line
    from launch.cli.compare import print_comparison
    from launch.records.nearest import did_you_mean
    from launch.sweeps.compared import FULL, models_of_sweep
    from launch.sweeps.grid import find_sweep

    store = Path(args.store).absolute() if args.store else default_store().absolute()
    if (sweep := find_sweep(name, store)) is None:
        meant = did_you_mean(name, [store / "sweeps"])
        raise UserError(f"there is no sweep {name!r} in {store}{meant}; `dual-hpc ablate PRESET` makes one")
    models = models_of_sweep(sweep)
    if len(models) < 2 or FULL not in [model.name for model in models]:
        raise UserError(f"{name} is no ablation: it has no member as configured beside others; see `compare {name}`")
    comparison = compare(with_reference(models, FULL))
    if args.out is not None:
        write_comparison(args.out, comparison, "ablation")
    if args.json:
        print(json_line(comparison.to_json()))
    else:
        print_comparison(comparison)
    return 0
