"""Cluster profiles: what a machine offers, as data (`slurm/profiles/*.yaml`), typed and refused when misspelt.

A profile is what an engineer knows about a cluster; a request (the `launch` section of a configuration) is what one
run wants of it. `launch/request.py` checks the second against the first, `launch/sbatch.py` renders both.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import slurm
from dual_hpc.errors import UserError

FOLDER = Path(slurm.__file__).parent / "profiles"


class Limits(BaseModel):
    """The limits of a QoS or partition; None means that the cluster sets none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: float | None = Field(None, gt=0)
    gpus: int | None = Field(None, ge=1)
    nodes: int | None = Field(None, ge=1)


class Profile(BaseModel):
    """One cluster, or one kind of node of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    description: str = ""
    executor: Literal["slurm", "local"] = "slurm"
    partitions: dict[str, Limits] = Field(default_factory=dict, description="first is the default; none: Slurm's own")
    qos: dict[str, Limits] = Field(default_factory=dict, description="first is the default; none: Slurm's own")
    constraint: str | None = None
    account_suffix: str | None = Field(None, description="what an account must end in here, as in xxx@v100")
    account_required: bool = False
    gpus_per_node: int = Field(0, ge=0)
    cpus_per_node: int = Field(1, ge=1)
    cpus_per_gpu: int | None = Field(None, ge=1, description="cores that come with one GPU (CPU nodes: with one rank)")
    bf16: bool = Field(True, description="its GPUs compute in bfloat16")
    max_nodes: int | None = Field(None, ge=1)
    memory_per_cpu_mb: int | None = Field(None, ge=1)
    hint: str | None = None
    modules: list[str] = Field(default_factory=list, description="`module load` lines of the job")
    environment: dict[str, str] = Field(default_factory=dict, description="exported in the job")
    setup: list[str] = Field(default_factory=list, description="shell lines before srun")
    requeue: bool = True
    offline: bool = Field(False, description="compute nodes reach no network")
    signal_seconds: int = Field(180, ge=1, description="warning (USR2) before the time limit")
    answer_seconds: float = Field(300, gt=0, description="a node silent for longer at a job's start is excluded")
    max_array: int = Field(1001, ge=1, description="members of one job array (MaxArraySize, by default 1001)")
    extra: dict[str, str] = Field(default_factory=dict, description="further sbatch options")

    @property
    def has_gpus(self) -> bool:
        return self.gpus_per_node > 0


def profile_names() -> list[str]:
    """The profiles that ship with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_profile(source: str) -> Profile:
    """The profile of a name, or of a YAML file of one's own.

    Raises:
        UserError: unknown name, unreadable file, unknown key or bad value.
    """
    path = Path(source) if source.endswith((".yaml", ".yml")) else FOLDER / f"{source}.yaml"
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        near = difflib.get_close_matches(source, profile_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(profile_names())}, or a .yaml file"
        raise UserError(f"launch.profile: {source!r} is unknown: {hint}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"launch.profile: {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"launch.profile: {path} must be a mapping")
    try:
        return Profile.model_validate({"name": path.stem, **tree})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"launch.profile: {path.name}: {where}: {first['msg'].lower()}") from error
