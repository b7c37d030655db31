"""The parameters and the text of an sbatch file: pure functions of profile, request and command."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from submitit.slurm.slurm import _make_sbatch_string

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.run.names import CODE_ARCHIVE
from dual_hpc.run.this_job import ALLOCATED
from launch.cluster.profiles import Profile
from launch.cluster.request import cpus_per_rank, resolve_choice
from launch.cluster.wishes import wished_options

# `scancel --full` and some sites signal the batch script as well, which would die of it and take the job along.
TRAP = "trap : USR2"
NOTE_BEGIN = f"export {ALLOCATED}=$(date +%s)"  # of the job, before anything is imported
_PARAMETERS = ("gpus-per-node", "gpus-per-task", "gres", "mem-per-cpu", "mem", "exclude")  # that submitit knows
PICKLE_SECONDS = 300  # that a job waits for the file with what it is to call


def sbatch_parameters(
    profile: Profile,
    request: LaunchConfig,
    run: Path,
    python: str,
    after: Sequence[str] = (),
    avoid: Sequence[str] = (),
) -> dict[str, Any]:
    """Arguments of submitit's SlurmExecutor for a checked request.

    `wckey=None` keeps submitit from sending its own; `--cpus-per-task` is repeated for srun, which has not inherited
    it from sbatch since Slurm 22.05; `--kill-on-bad-exit` ends the job when one rank dies.

    Args:
        after: the jobs after whose end, however they end, this one starts; instead of those that the request names.
        avoid: nodes to exclude.
    """
    cpus = cpus_per_rank(request, profile)
    wishes = wished_options(request, profile, avoid)
    parameter = {option: option.replace("-", "_") for option in _PARAMETERS}
    offered = {key: value for key, value in profile.extra.items() if not (request.memory and key.startswith("mem"))}
    wished = {key: value for key, value in wishes.items() if key not in parameter and value is not None}
    further = offered | request.extra | wished
    options: dict[str, Any] = {k: v for k, v in further.items() if v is not False and not (k == "gres" and k in wishes)}
    if profile.hint:
        options["hint"] = profile.hint
    options["requeue" if profile.requeue else "no-requeue"] = True
    parameters: dict[str, Any] = {
        "job_name": run.name,
        "time": math.ceil(request.hours * 60),
        "nodes": request.nodes,
        "ntasks_per_node": request.ranks_per_node,
        "cpus_per_task": cpus,
        **{submitits: wishes.get(ours) for ours, submitits in parameter.items()},
        "partition": resolve_choice(request.partition, profile.partitions, "launch.partition", profile.name),
        "qos": resolve_choice(request.qos, profile.qos, "launch.qos", profile.name),
        "constraint": request.constraint or profile.constraint,
        "account": request.account,
        "dependency": f"afterany:{':'.join(after or request.after)}" if after or request.after else None,
        "signal_delay_s": profile.signal_seconds,
        "stderr_to_stdout": True,
        "wckey": None,
        "setup": [TRAP, NOTE_BEGIN, *pickle_lines(run), *setup_lines(profile)],
        "teardown": on_failure_lines(python_command(python, run), run),
        "srun_args": [f"--cpus-per-task={cpus}", "--kill-on-bad-exit=1"],
        "additional_parameters": options,
    }
    return {key: value for key, value in parameters.items() if value is not None or key == "wckey"}


def setup_lines(profile: Profile) -> list[str]:
    """Shell lines of the job before srun: modules, environment, the profile's own."""
    environment = dict(profile.environment)
    if profile.offline:
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    lines = ["module purge", *map(_module_line, profile.modules)] if profile.modules else []
    lines += [f"export {key}={shlex.quote(value)}" for key, value in environment.items()]
    return lines + profile.setup


def _module_line(module: str) -> str:
    failed = shlex.quote(f"dual-hpc: module load {module} failed; correct `modules` of the profile")
    return f"module load {shlex.quote(module)} || {{ echo {failed} >&2; exit 1; }}"


def pickle_lines(run: Path) -> list[str]:
    """Shell lines of the job before everything else: wait for what it is to call.

    The command that submits a job puts it there once it knows the job's id, which takes a while where Slurm is slow to
    answer; where that command was killed, it never does.
    """
    job = "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
    file = f'{shlex.quote(str(run / "logs"))}/"{job}_submitted.pkl"'
    complaint = "dual-hpc: the command that submitted this job was killed before it could record it; the job ends"
    return [
        f"for second in $(seq {PICKLE_SECONDS}); do [ -e {file} ] && break; sleep 1; done",
        f'[ -e {file} ] || {{ echo "{complaint}" >&2; exit 1; }}',
    ]


def on_failure_lines(python: str, run: Path) -> list[str]:
    """Shell lines of the job after srun: where it failed, continue the run if possible; exit with srun's code."""
    return ["code=$?", f"[ $code = 0 ] || {python} -m launch.aftermath {shlex.quote(str(run))} $code", "exit $code"]


def python_command(python: str, run: Path) -> str:
    """Python with the code of the run's own archive; see launch/bootstrap.py."""
    return f"{shlex.quote(python)} {shlex.quote(str(run / CODE_ARCHIVE))}"


def sbatch_text(
    profile: Profile,
    request: LaunchConfig,
    run: Path,
    python: str,
    members: int = 1,
    parallel: int = 1,
    continues: bool = True,
) -> str:
    """The file that `submit` would pass to sbatch; submitit renders it, as for the submission itself.

    Args:
        members, parallel: of a job array, in all and at a time.
        continues: False for a command, which is never continued.
    """
    logs = run / "logs"
    command = f"{python_command(python, run)} -u -m submitit.core._submit {shlex.quote(str(logs))}"
    parameters = sbatch_parameters(profile, request, run, python)
    if not continues:
        del parameters["teardown"]
    if members > 1:
        parameters |= {"map_count": members, "array_parallelism": parallel}
    return f"{_make_sbatch_string(command=command, folder=logs, **parameters)}\n"
