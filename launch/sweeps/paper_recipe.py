"""What a reader of a paper needs to repeat a sweep: configuration, data, code, environment, cost, and the commands."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dual_hpc.config import ENVIRONMENT, RunConfig, load_config
from dual_hpc.run.directory import RunDir
from dual_hpc.run.goodput import Goodput, goodput, timeline_of
from launch.sweeps.grid import Member, SweepDir

_OWN = {"name", "store", "tracking"}  # of this machine and this run, no part of what was done
_PACKAGES = ("torch", "torchaudio", "deepspeed", "transformers", "numpy", "av", "mlflow", "matplotlib", "scikit-learn")
BASE, RECIPE = "config/base.yaml", "REPRODUCE.md"
SHARDS = "$SHARDS"


@dataclass(frozen=True)
class Cost:
    """What the trainings took, from when each job was given its nodes to its end; without evaluations.

    Attributes:
        hours: of all jobs, one after the other.
        used: the same in GPU-hours, or in core-hours where there was no GPU, by what they were used for.
    """

    hours: float
    used: Goodput


def cost_of(runs: Sequence[RunDir]) -> Cost:
    """The hours of every job of these runs, as `dual-hpc goodput` counts them."""
    slices = [one for run in runs for one in timeline_of(run)]
    return Cost(sum(one.seconds for one in slices if one.kind != "queue") / 3600, goodput(slices))


def environment() -> dict[str, str]:
    """The machine that wrote the kit: Python, system, processor, and the versions of what computes."""
    found = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def base_text(sweep: SweepDir) -> str:
    """What the members share, without what is this machine's own, as YAML."""
    configs = [run.config() for run in sweep.runs()]
    fewest = min(range(len(configs)), key=lambda number: len(sweep.sweep.members[number].overrides))
    base = configs[fewest].model_dump(mode="json", exclude=_OWN)
    base["data"].pop("shards", None)
    base["launch"] = {name: base["launch"][name] for name in ("nodes", "ranks_per_node")}
    return yaml.safe_dump(base, sort_keys=False, allow_unicode=True)


def not_from_base(sweep: SweepDir, base: Path) -> list[str]:
    """Members whose overrides, on the base configuration, do not make their own configuration."""
    pairs = zip(sweep.sweep.members, sweep.runs(), strict=True)
    return [member.name for member, run in pairs if not _gives(base, member, run.config())]


def sweep_command(sweep: SweepDir, config: str = BASE) -> list[str]:
    """The words of `dual-hpc` that train every member again; shards are given by the reader."""
    members = [word for one in sweep.sweep.members for word in ("--member", shlex.join(one.overrides))]
    return ["sweep", "--config", config, f"name={sweep.sweep.name}", "--shards", SHARDS, *members]


def recipe(sweep: SweepDir, facts: dict[str, Any], models: Sequence[str], reference: str) -> str:
    """The one page: what to install, what to pack, and the commands in their order."""
    name = sweep.sweep.name
    lines = [
        f"# How to reproduce {name}",
        "",
        f"Code: dual_hpc {facts['dual_hpc']}, commit {', '.join(facts['code_versions'])}. Python "
        f"{facts['environment']['python']}, torch {facts['environment'].get('torch', 'unknown')}; every version is in",
        "`facts.json`. The configuration of each member is `config/MEMBER.yaml`, what they share `config/base.yaml`.",
        "",
        "1. Install that commit with `make setup` (docs/first-run.md) and activate its environment.",
        "2. Pack the corpus, and see that it is the same: its data set id must be one of",
        *(f"   `{one}`" for one in facts["datasets"]),
        "3. In this folder, where the first line names the folder of the shards:",
        "",
        "```bash",
        "export SHARDS=/path/to/shards",
        "export DUAL_STORE=$PWD/store",
        f'dual-hpc inspect "{SHARDS}"',
        _shell(sweep_command(sweep)),
        f"dual-hpc sweep --evaluate {name}",
        f"dual-hpc compare {name} --reference {shlex.quote(reference)} --out again/",
        f"dual-hpc paper {name} --reference {shlex.quote(reference)} --out kit/",
        "```",
        "",
        "On a cluster add `--profile NAME` to the sweep, and wait for its jobs before the next line.",
        "",
        f"It took {facts['hours']:.3g} hours of jobs, {facts['used']['held']:.3g} {facts['used']['unit']}, for "
        f"{len(sweep.sweep.members)} trainings of {len(models)} models. On as many ranks of CPUs of the same kind the",
        "predictions are the same bytes; on GPUs that needs `training.deterministic=true`.",
    ]
    if facts["not_from_base"]:
        wrong = ", ".join(facts["not_from_base"])
        lines += ["", f"These members differ in more than the command says; train them by their own file: {wrong}."]
    return "\n".join(lines) + "\n"


def commands_of(page: str) -> list[list[str]]:
    """The words of each `dual-hpc` command of a recipe."""
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("dual-hpc ")]


def _shell(words: Sequence[str]) -> str:
    """A command with a line for each member."""
    quoted = ["dual-hpc", *map(shlex.quote, words)]
    return " ".join(quoted).replace(shlex.quote(SHARDS), f'"{SHARDS}"').replace(" --member ", " \\\n  --member ")


def _gives(base: Path, member: Member, config: RunConfig) -> bool:
    """Whether the base with the member's overrides is the member's configuration, but for what is the machine's own."""
    made = load_config(base, member.overrides)
    left_out = {"name", "launch", *ENVIRONMENT}
    ours, theirs = (one.model_dump(mode="json", exclude=left_out) for one in (made, config))
    for one in (ours, theirs):
        one["data"].pop("shards", None)
    return ours == theirs
