"""Cluster profiles: what a cluster offers, as data (`slurm/profiles/*.yaml`); unknown keys are refused.

A profile describes a cluster; a request (the `launch` section of a configuration) is what one run asks of it.
`request.py` checks the second against the first, `sbatch.py` renders both.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

import slurm
from dual_hpc.config.paths import expand
from dual_hpc.config.yaml_file import read_yaml_file
from dual_hpc.credentials import first_secret, secret_in_shell_line
from dual_hpc.errors import UserError

FOLDER = Path(slurm.__file__).parent / "profiles"

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Architecture = Annotated[str, StringConstraints(pattern=r"^sm_\d{2,3}$")]
GpuRequest = Literal["gpus-per-node", "gres", "gpus", "gpus-per-task", "none"]
Option = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]*$")]
# sbatch options that come from the request, from other keys of a profile, or from submitit.
RESERVED_OPTIONS = frozenset(
    [
        "account",
        "array",
        "constraint",
        "cpus-per-task",
        "dependency",
        "error",
        "exclude",
        "gpus-per-node",
        "hint",
        "job-name",
        "no-requeue",
        "nodes",
        "ntasks-per-node",
        "open-mode",
        "output",
        "partition",
        "qos",
        "requeue",
        "signal",
        "time",
    ]
)


class Limits(BaseModel):
    """The limits of a QoS or partition; None means that the cluster sets none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: float | None = Field(None, gt=0)
    gpus: int | None = Field(None, ge=1)
    nodes: int | None = Field(None, ge=1)
    jobs: int | None = Field(None, ge=1, description="of one user at once; waiting ones and members of arrays count")


class Profile(BaseModel):
    """One cluster, or one kind of node of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    description: str = Field("", description="one line, shown by `dual-hpc doctor`")
    executor: Literal["slurm", "local"] = "slurm"
    partitions: dict[str, Limits] = Field(default_factory=dict, description="first is the default; none: Slurm's own")
    qos: dict[str, Limits] = Field(default_factory=dict, description="first is the default; none: Slurm's own")
    constraint: str | None = None
    account_suffix: str | None = Field(None, description="what an account must end in here, as in xxx@v100")
    account_required: bool = False
    gpus_per_node: int = Field(0, ge=0)
    gpu_request: GpuRequest = Field(
        "gpus-per-node", description="how sbatch is asked for GPUs; none: whoever gets a node has all of its GPUs"
    )
    gpu_architecture: Architecture | None = Field(None, description="of its GPUs, as sm_90, for `doctor`")
    cpus_per_node: int = Field(1, ge=1)
    cpus_per_gpu: int | None = Field(None, ge=1, description="cores that come with one GPU (CPU nodes: with one rank)")
    bf16: bool = Field(True, description="its GPUs compute in bfloat16")
    max_nodes: int | None = Field(None, ge=1)
    memory_per_cpu_mb: int | None = Field(None, ge=1)
    hint: str | None = None
    modules: list[str] = Field(default_factory=list, description="`module load` lines of the job")
    environment: dict[Variable, str] = Field(default_factory=dict, description="exported in the job")
    setup: list[str] = Field(default_factory=list, description="shell lines before srun")
    requeue: bool = True
    offline: bool = Field(False, description="compute nodes reach no network")
    signal_seconds: int = Field(180, ge=1, le=65535, description="warning (USR2) before the time limit")
    answer_seconds: float = Field(300, gt=0, description="a node silent for longer at a job's start is excluded")
    max_array: int = Field(1001, ge=1, description="members of one job array (MaxArraySize, by default 1001)")
    extra: dict[Option, bool | int | str] = Field(
        default_factory=dict, description="further sbatch options; true for one without a value"
    )

    @field_validator("extra")
    @classmethod
    def _not_reserved(cls, extra: dict[str, bool | int | str]) -> dict[str, bool | int | str]:
        if reserved := sorted(RESERVED_OPTIONS & extra.keys()):
            raise ValueError(
                f"{reserved[0]} is not a valid extra option: it is set by launch.* or another key of the profile"
            )
        return extra

    @property
    def has_gpus(self) -> bool:
        return self.gpus_per_node > 0


def profile_names() -> list[str]:
    """The profiles that ship with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def profile_path(source: str) -> Path | None:
    """The YAML file that a profile is read from, absolute; None for the name of one that ships with the project.

    Raises:
        UserError: the path names a variable that is not set.
    """
    return Path(expand(source, "launch.profile")).absolute() if source.endswith((".yaml", ".yml")) else None


def load_profile(source: str) -> Profile:
    """The profile of this name, or of a YAML file.

    Raises:
        UserError: unknown name, unreadable file, unknown key or bad value.
    """
    user_file = profile_path(source)
    path = user_file or FOLDER / f"{source}.yaml"
    if user_file is None and source not in profile_names():
        near = difflib.get_close_matches(source, profile_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(profile_names())}, or a .yaml file"
        raise UserError(f"launch.profile: {source!r} is unknown: {hint}")
    tree = read_yaml_file(path, "launch.profile: ", "a mapping")
    try:
        profile = Profile.model_validate({"name": path.stem, **tree})
    except ValidationError as error:
        raise UserError(f"launch.profile: {path.name}: {_explain(error)}") from error
    if key := _secret(profile):
        raise UserError(
            f"launch.profile: {path.name}: {key} holds a password or a token, which would be written into every run; "
            "export it in the shell that submits, from where jobs inherit it, or read it from a file in a setup line"
        )
    return profile


def _secret(profile: Profile) -> str | None:
    """The key that holds a password or a token; None where none does."""
    if any(map(secret_in_shell_line, profile.setup)):
        return "setup"
    found = first_secret(profile.model_dump(mode="json", exclude={"setup"}))
    return found[0] if found else None


def _explain(error: ValidationError) -> str:
    """The first error; an unknown key comes before the one that is missing because of it."""
    errors = error.errors()
    first = next((m for m in errors if m["type"] == "extra_forbidden"), errors[0])
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg'].removeprefix('Value error, ').lower()}"
    known = (Profile if len(first["loc"]) == 1 else Limits).model_fields
    near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
    return f"{where}: unknown key; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}")
