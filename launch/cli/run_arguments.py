"""The arguments by which the verbs name a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dual_hpc.config.schema import RunConfig
    from dual_hpc.run.directory import RunDir
    from launch.runs.plan import PlannedRun


def add_run_arguments(parser: argparse.ArgumentParser, existing: bool = True) -> None:
    """A configuration or an existing run, its data, and overrides.

    Args:
        existing: --run is shown in the help; otherwise the verb refuses it.
    """
    continues = "continue this run with its own configuration"
    parser.add_argument("--preset", metavar="NAME", help="a configuration that ships with dual-hpc: demo, iemocap4 ...")
    parser.add_argument(
        "--config", metavar="FILE", help="a YAML configuration of your own; over --preset, where that is given as well"
    )
    parser.add_argument("--run", metavar="NAME|DIR", help=continues if existing else argparse.SUPPRESS)
    parser.add_argument(
        "--shards", metavar="DIR", action="append", default=[], help="a folder of packed shards (repeat for several)"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="any setting, as in training.epochs=5 or name=trial"
    )
    add_trust(parser)
    parser.add_argument("--settings", nargs=0, action=_Settings, help="list every setting with its default, and exit")


class _Settings(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from dual_hpc.config.reference import listing

        print(listing(), end="")
        parser.exit()


def planned_run(args: argparse.Namespace, *further: str) -> PlannedRun:
    """The run that the parsed arguments mean; `further` overrides come last."""
    from launch.runs.plan import plan_run

    source, layers = configuration(args)
    return plan_run(source, args.run, [*layers, *args.overrides, *further], args.shards)


def tell_absent(config: RunConfig) -> None:
    """Say once, on standard error, what a model is built for and no sample of the shards has."""
    import contextlib
    import sys

    from dual_hpc.errors import UserError
    from dual_hpc.evaluation.protocols.advice import absent_modalities, absent_sentence
    from dual_hpc.model.family import FAMILIES
    from launch.runs.plan import utterances_of

    reads = FAMILIES.get(config.model.family).reads
    with contextlib.suppress(UserError):  # the job, which has begun, says so if its shards are gone
        for modality in absent_modalities(utterances_of(config)):
            if modality.letter in reads and getattr(config.model, f"use_{modality}"):
                print(f"dual-hpc: warning: {absent_sentence(modality)}", file=sys.stderr, flush=True)


def configuration(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """The file or preset that --config, --preset and --run mean, and the override that puts the preset below the file.

    Raises:
        UserError: --run, which has a configuration of its own, is given with another.
    """
    from dual_hpc.errors import UserError

    if args.run and (args.preset or args.config):
        given = "--preset" if args.preset else "--config"
        raise UserError(f"{given} is not allowed with --run: a run continues with its own configuration")
    if args.config and args.preset:
        return args.config, [f"preset={args.preset}"]
    return args.config or args.preset, []


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The argument without which nothing of somebody else's run directory is run."""
    from dual_hpc.files.ownership import TRUST

    parser.add_argument("--trust", action="store_true", help=TRUST)


def add_run(parser: argparse.ArgumentParser) -> None:
    """An existing run, by name or folder."""
    parser.add_argument("run_name", metavar="RUN", help="a run of the store by name, or its folder")
    parser.add_argument("--store", metavar="DIR", help="where RUN is looked up (default: DUAL_STORE, see `runs`)")


def existing_run(args: argparse.Namespace) -> RunDir:
    """The run that `add_run`'s arguments name.

    Raises:
        UserError: there is none; or it is a sweep or a job, and the message says what to do with that.
    """
    from pathlib import Path

    from dual_hpc.errors import UserError
    from launch.cli.targets import find_target
    from launch.commands.target import CommandTarget
    from launch.runs.target import RunTarget

    found = find_target(args.run_name, Path(args.store) if args.store else None)
    if isinstance(found, RunTarget):
        return found.run
    if isinstance(found, CommandTarget):
        verb = found.job.description().words[0]
        raise UserError(
            f"{found.name} is a job of `{verb}`, not a run; it has status, logs, why and cancel, and the same command "
            "submitted again continues where it ended"
        )
    raise UserError(
        f"{found.name} is a sweep, not a run; `dual-hpc status {found.name}` lists its members, which are runs, and "
        f"`dual-hpc sweep --resubmit {found.name}` submits those that failed or stopped"
    )
