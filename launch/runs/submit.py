"""Hand a run directory to submitit: the same for a laptop and for a cluster."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from submitit import Job

from dual_hpc.config.schema import LaunchConfig, RunConfig
from dual_hpc.errors import DualError, UserError
from dual_hpc.files.locks import file_lock
from dual_hpc.files.ownership import keep_others_out, require_own
from dual_hpc.plugins import plugin_hashes
from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from dual_hpc.run.names import CODE_ARCHIVE
from dual_hpc.tracking.mlflow_store import store_of
from launch.cluster.code_archive import code_files, plugin_files, write_archive
from launch.cluster.profiles import Profile, load_profile
from launch.cluster.request import check, check_precision
from launch.cluster.sbatch import python_command
from launch.cluster.slurm import Scheduler
from launch.job import train_rank
from launch.job.local_job import RankExecutor
from launch.job.slurm_job import submit_slurm
from launch.records import submissions
from launch.runs.archived_settings import refuse_unknown_settings
from launch.runs.plan import PlannedRun
from launch.runs.prolong import prolongs, reopen
from launch.runs.status import has_finished, run_statuses
from launch.runs.unfit_nodes import nodes_to_avoid


def submit(plan: PlannedRun, profile: Profile, new_code: bool = False, trust: bool = False) -> Job[Any]:
    """Start the training of a run as one job. What is refused, here or by Slurm, leaves no new run directory.

    Args:
        new_code: use the current code; otherwise a run keeps the code that it was first submitted with.
        trust: also where others own or may write the run directory.

    Raises:
        UserError: the request does not fit the profile, there is no Slurm here, a job works on the run already, or the
            run directory is not the user's alone.
        EnvironmentFault: Slurm refused the job.
    """
    require_own(plan.path, names.EXECUTED, trust)
    request = plan.config.launch
    check(request, profile)
    check_precision(plan.config, profile)
    check_machine(profile)
    if (plan.path / names.IDENTITY).exists():
        plan.open()  # a run of another configuration is refused
    code_files()
    if new_code or not (plan.path / CODE_ARCHIVE).exists():
        plugin_files(plan.config.plugins)
    with transactional_dirs([plan.path]):
        require_own(plan.path, names.EXECUTED, trust)  # a colleague may have taken the name meanwhile
        longer = prolongs(plan)
        require_no_active_job([plan.path], may_be_finished=longer)
        warn_where_untracked(plan.config)  # after all that refuses: a refusal is one line
        run = plan.open()
        if not new_code:
            refuse_unknown_settings(run, plan.config)
        run.take_settings(plan.config)
        if longer:
            reopen(run)
        run.logs.mkdir(parents=True, exist_ok=True)
        if new_code or not (run.path / CODE_ARCHIVE).exists():
            write_archive(run.path, plugins=plan.config.plugins, replace=new_code)
            record_plugins(run, plan.config.plugins)
        run.stop_file.unlink(missing_ok=True)
        if profile.executor == "local":
            return submit_local(run, request, profile)
        avoid = nodes_to_avoid([run], request)
        entry = submissions.Entry(event="submit", job_id="", bad_nodes=sorted(avoid))
        return submit_slurm(train_rank, run.path, request, profile, entry)


def warn_where_untracked(config: RunConfig) -> None:
    """Say so where the jobs of a run could not write MLflow's database, as that of a colleague."""
    if not config.tracking.enabled:
        return
    try:
        store_of(config).check_writable()
    except DualError as error:
        print(f"dual-hpc: warning: {error}; the run is trained all the same, `dual-hpc sync` sends it", file=sys.stderr)


def record_plugins(run: RunDir, plugins: Sequence[str]) -> None:
    """Note in `run.json` what was just packed, and say which plugins are not what the run began with."""
    for name in run.record_plugins(plugin_hashes(plugins)):
        print(f"dual-hpc: plugin {name} has changed since the run began; its jobs use it as it is now", file=sys.stderr)


def submit_here(plan: PlannedRun, trust: bool = False) -> Job[Any] | None:
    """Start the training of a run on this machine with the code as it is now; None where it is finished already.

    Raises:
        UserError: as of `submit`, or a run of another configuration has this name.
    """
    if is_finished(plan.path) and not prolongs(plan):
        plan.open()
        return None
    return submit(plan, load_profile("local"), new_code=True, trust=trust)


def submit_local(run: RunDir, request: LaunchConfig, profile: Profile) -> Job[Any]:
    """Processes on this machine, with the code of the run's archive, whatever changes in the source tree meanwhile."""
    executor = RankExecutor(
        run.logs.absolute(),
        request.ranks_per_node,
        request.hours,
        profile.signal_seconds,
        python=python_command(sys.executable, run.path.absolute()),
    )
    job = executor.submit(train_rank, str(run.path.absolute()))
    keep_others_out(job.paths.submitted_pickle)
    submissions.record(run.path, submissions.Entry(event="submit", job_id=job.job_id, request=request, profile=profile))
    return job


def check_machine(profile: Profile) -> None:
    """Slurm's commands, where the profile needs them.

    Raises:
        UserError: they are not installed here.
    """
    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if profile.executor == "slurm" and missing:
        raise UserError(
            f"launch.profile={profile.name}: no {missing[0]} on this machine; submit from a login node, or use local"
        )


def require_no_active_job(paths: Sequence[Path], may_be_finished: bool = False) -> None:
    """A run is worked on by one job at a time, wherever it was submitted.

    Args:
        may_be_finished: it is given more steps.

    Raises:
        UserError: a job of one of them waits or runs, or it is finished.
        EnvironmentFault: Slurm, which knows of their last jobs, does not answer.
    """
    there = [RunDir(path) for path in paths if (path / names.IDENTITY).exists()]
    for run, status in zip(there, run_statuses(there, Scheduler(), time.time()), strict=True):
        path, name = run.path, run.path.name
        if status.active:
            raise UserError(
                f"name: job {status.job_id} of the run {path} is {status.state}; wait for it, or `dual-hpc stop {name}`"
            )
        if is_finished(path) and not may_be_finished:
            raise UserError(
                f"name: the run {path} is finished: `dual-hpc evaluate {name}` scores it, `dual-hpc resume {name} "
                "training.epochs=N` makes it longer; or choose name=..."
            )


def is_finished(run: Path) -> bool:
    """True where training has done all its steps."""
    return has_finished(RunDir(run))


@contextlib.contextmanager
def transactional_dirs(paths: Sequence[Path]) -> Iterator[None]:
    """Make these folders of a store; those that did not exist before are removed again if what is done fails.

    Others who do so in this store wait meanwhile: two submissions of one run see each other.

    Raises:
        UserError: the store cannot be written.
    """
    store = paths[0].parents[1]
    _make(store)
    with file_lock(store, required=False):
        fresh: list[Path] = []
        try:
            for path in paths:
                if _make(path, 0o755):  # a run is its user's alone; what is above it, the umask decides
                    fresh.append(path)
            yield
        except BaseException:
            for path in fresh:
                shutil.rmtree(path, ignore_errors=True)
            raise


def _make(path: Path, mode: int = 0o777) -> bool:
    """True if the folder was not there."""
    try:
        path.mkdir(mode, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise UserError(f"store: {path} exists and is not a folder") from None
        return False
    except OSError as error:
        raise UserError(f"store: {path} cannot be made: {error.strerror}; set DUAL_STORE or store=") from error
    return True
