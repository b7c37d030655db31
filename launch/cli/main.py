"""`dual-hpc VERB ...`: one thin module per verb, imported only when its verb is called.

A mistake of the user or a fault of the machine is one line on standard error; the traceback goes to a log.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from dual_hpc import __version__
from dual_hpc.errors import UserError, one_line
from launch.cli.exit_code import exit_code

# verb -> what it does, in the order of a first day of work; the module is launch.cli.<verb>.
VERBS = {
    "synth": "write a small synthetic IEMOCAP or MELD corpus in its official layout",
    "pack": "pack a raw corpus into WebDataset shards",
    "extract": "compute the features of frozen encoders for a folder of shards, once",
    "inspect": "show or verify a folder of shards",
    "config": "show a configuration, in what two differ, or write one to begin with",
    "train": "train on this machine, or continue a run",
    "submit": "train on a cluster, or as a detached job on this machine",
    "sweep": "train many variants as one job array, and tabulate their scores",
    "runs": "list the runs and jobs of a store",
    "status": "show the status of a run, a sweep or a job",
    "watch": "watch a run or a sweep live in the terminal",
    "logs": "show the log of a rank of a run, or of a task of a job",
    "why": "explain why a run, a sweep or a job waits, failed or stopped (also: diagnose)",
    "goodput": "show what the hours of a run's jobs were used for",
    "stop": "save a checkpoint and stop",
    "resume": "resume a run in a new job",
    "cancel": "end a job at once, without saving",
    "shell": "open a shell on a node of a run's job",
    "stacks": "print where every thread of a run's ranks is",
    "profile": "trace some steps of a run that trains now",
    "ckpt": "list, verify, prune, export or convert a run's checkpoints",
    "sync": "copy what the runs have recorded to MLflow",
    "evaluate": "score a run or a model on labelled shards",
    "report": "write the report of an evaluation again from its predictions, without the model",
    "baseline": "train and score a classical classifier (MFCC or eGeMAPS, SVM) on the same splits",
    "compare": "compare runs and sweeps on the same test samples: one table, one figure, tests",
    "ablate": "train a model without each of its parts, and tabulate what each is worth",
    "paper": "write tables, figures, configurations and the recipe of a sweep into a folder",
    "predict": "predict the emotion of raw clips, as JSON",
    "serve": "answer recordings that are uploaded over HTTP, with a page that shows their timeline",
    "ui": "open the MLflow interface of a store",
    "doctor": "check what this machine offers and what is missing",
    "completion": "print what bash or zsh needs to complete verbs, options, settings and names of runs",
}

ALIASES = {"diagnose": "why"}

USAGE = """\
usage: dual-hpc VERB ...
       dual-hpc VERB --help | --help | --version

Train DUAL, an emotion recognition model that relies on audio and video first, on SLURM clusters.
"""

FIRST_RUN = """\
a first run:
  dual-hpc doctor
  dual-hpc synth iemocap --out corpora/iemocap
  dual-hpc pack iemocap corpora/iemocap --out shards/iemocap
  dual-hpc train --preset demo --shards shards/iemocap

`dual-hpc VERB --help` explains a verb with examples."""


class OneLineParser(argparse.ArgumentParser):
    """Reports an error in one line and with exit code 2, like every other mistake of the user."""

    def error(self, message: str) -> NoReturn:
        print(f"dual-hpc: error: {one_line(message)} (see `{self.prog} --help`)", file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns its exit code, see `exit_code`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # No record of a store could name a file whose name is not UTF-8; `predict` only reads it.
    return exit_code(lambda: _run(arguments), [] if arguments[:1] == ["predict"] else arguments)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0
    if arguments[0] == "--version":
        print(f"dual-hpc {__version__}")
        return 0
    name = ALIASES.get(arguments[0], arguments[0])
    if name not in VERBS:
        raise UserError(_unknown_verb(name))
    verb = importlib.import_module(f"launch.cli.{name}")
    words, command = split_command(arguments[1:]) if name in ("submit", "shell") else (arguments[1:], [])
    # Intermixed, so that settings may come between options: `submit name=a --wait optim.lr=1e-4`.
    args = build_parser(name, verb).parse_intermixed_args(words)
    args.command = command
    if getattr(args, "plugin", None):
        from dual_hpc.plugins import load_plugins

        load_plugins(args.plugin)
    return int(verb.run(args) or 0)


def split_command(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before and after `--`: a verb's own, and the command that it submits or starts."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def overview() -> str:
    """What `dual-hpc --help` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {what}" for name, what in VERBS.items())
    return f"{USAGE}\nverbs:\n{verbs}\n\n{FIRST_RUN}"


def build_parser(name: str, verb: ModuleType) -> argparse.ArgumentParser:
    """The parser of one verb, whose module says what it takes and shows examples."""
    what = VERBS[name]
    parser = OneLineParser(
        prog=f"dual-hpc {name}",
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=verb.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_arguments(parser)
    return parser


def _unknown_verb(verb: str) -> str:
    near = difflib.get_close_matches(verb, VERBS, n=1)
    return f"there is no verb {verb!r}; " + (f"did you mean {near[0]}?" if near else f"use one of {', '.join(VERBS)}")


if __name__ == "__main__":
    sys.exit(main())
