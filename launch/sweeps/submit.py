"""Submit the members of a sweep: as one job array on a cluster, one after the other on this machine."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from submitit.local.local import LocalJob

from dual_hpc.errors import DualError, UserError
from dual_hpc.files.ownership import keep_others_out, require_own
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from dual_hpc.run.names import CODE_ARCHIVE
from launch.cluster.code_archive import code_files, keep_previous, write_archive
from launch.cluster.profiles import Profile
from launch.cluster.request import check, check_array, check_precision
from launch.cluster.sbatch import sbatch_parameters
from launch.cluster.submission import submit_jobs
from launch.job import train_rank
from launch.records import submissions
from launch.runs.archived_settings import refuse_unknown_settings
from launch.runs.follow import POLL_SECONDS, interrupt, local_outcome, terminated_as_interrupted
from launch.runs.plan import PlannedRun
from launch.runs.submit import (
    check_machine,
    record_plugins,
    require_no_active_job,
    submit_local,
    transactional_dirs,
)
from launch.runs.unfit_nodes import nodes_to_avoid
from launch.sweeps.grid import SweepDir


def check_members(plans: Sequence[PlannedRun], profile: Profile) -> None:
    """Refuse what the cluster, or an array, does not take.

    Raises:
        UserError: the request does not fit the profile, or the members ask for different jobs.
    """
    request = plans[0].config.launch
    if any(plan.config.launch != request for plan in plans):
        raise UserError("the members of a sweep share one job array: launch.* cannot be an axis")
    check(request, profile)
    for plan in plans:
        check_precision(plan.config, profile)
    check_array(len(plans), request, profile)
    check_machine(profile)
    code_files()


def require_own_folders(sweep: SweepDir, plans: Sequence[PlannedRun], trust: bool) -> None:
    """Refuse a sweep, or members, in whose folders others decide what is run; see `dual_hpc.files.ownership`.

    Raises:
        UserError: names the first, unless `trust`.
    """
    for path in (sweep.path, *(plan.path for plan in plans)):
        require_own(path, names.EXECUTED, trust)


def open_members(sweep: SweepDir, plans: Sequence[PlannedRun], new_code: bool = False) -> list[RunDir]:
    """The run directories of these members, with the code of the sweep in each.

    Args:
        new_code: use the current code. No other member may wait or run: they start from the same archive.

    Raises:
        UserError: a job of one of them waits or runs, or it is finished.
    """
    require_no_active_job([plan.path for plan in plans])
    (sweep.path / names.LOGS).mkdir(parents=True, exist_ok=True)
    for path in (sweep.path, sweep.path / names.LOGS):
        keep_others_out(path)
    plugins = list(dict.fromkeys(name for plan in plans for name in plan.config.plugins))
    packs = new_code or not (sweep.path / CODE_ARCHIVE).exists()
    archive = write_archive(sweep.path, plugins=plugins if packs else (), replace=new_code)
    runs = []
    for plan in plans:
        run = plan.open()
        if not new_code:
            refuse_unknown_settings(run, plan.config)
        run.take_settings(plan.config)
        run.stop_file.unlink(missing_ok=True)
        if new_code or not (run.path / CODE_ARCHIVE).exists():
            _share(archive, run.path / CODE_ARCHIVE)
            if new_code:
                record_plugins(run, plan.config.plugins)
        runs.append(run)
    sweep.save()
    return runs


def _share(archive: Path, path: Path) -> None:
    """Put the archive there too, without its bytes where the file system can: archives are replaced, never changed."""
    keep_previous(path, read_bytes(archive))
    path.unlink(missing_ok=True)
    try:
        os.link(archive, path)
    except OSError:
        shutil.copyfile(archive, path)


def submit_array(
    sweep: SweepDir,
    plans: Sequence[PlannedRun],
    profile: Profile,
    parallel: int,
    new_code: bool = False,
    trust: bool = False,
) -> list[str]:
    """One array with a task per plan, at most `parallel` of them at a time; a single plan is a plain job.

    What Slurm refuses leaves no new folder.

    Returns:
        The job ids, in the order of `plans`.

    Raises:
        UserError: the request does not fit the profile, or others may write a folder.
        EnvironmentFault: Slurm refused the array.
    """
    require_own_folders(sweep, plans, trust)
    check_members(plans, profile)
    request = plans[0].config.launch
    with transactional_dirs([sweep.path, *(plan.path for plan in plans)]):
        require_own_folders(sweep, plans, trust)  # a colleague may have taken a name meanwhile
        avoid = sorted(nodes_to_avoid(open_members(sweep, plans, new_code), request))
        parameters = sbatch_parameters(profile, request, sweep.path, sys.executable, avoid=avoid)
        parameters |= {"array_parallelism": parallel}
        jobs = submit_jobs([(train_rank, (str(plan.path),)) for plan in plans], sweep.path, parameters)
        for plan, job in zip(plans, jobs, strict=True):
            logs = str((sweep.path / names.LOGS).absolute())
            entry = submissions.Entry(
                event="submit", job_id=job.job_id, request=request, profile=profile, logs=logs, bad_nodes=avoid
            )
            submissions.record(plan.path, entry)
    return [job.job_id for job in jobs]


def run_locally(
    sweep: SweepDir,
    plans: Sequence[PlannedRun],
    profile: Profile,
    parallel: int,
    say: Callable[[str], None],
    new_code: bool = False,
    trust: bool = False,
) -> None:
    """Train the members on this machine, `parallel` at a time, and wait for all of them.

    One that fails does not hold up the others. Ctrl-C lets those that run save and stop and starts no
    more; a second one kills them.

    Raises:
        UserError: the request does not fit the profile, or others may write a folder.
        KeyboardInterrupt: after Ctrl-C, when the members that ran have ended.
    """
    require_own_folders(sweep, plans, trust)
    check_members(plans, profile)
    with transactional_dirs([sweep.path, *(plan.path for plan in plans)]):
        waiting = deque(open_members(sweep, plans, new_code))
    request, total = plans[0].config.launch, len(waiting)
    running: dict[str, tuple[RunDir, LocalJob[Any]]] = {}
    interrupted = ended = 0
    with terminated_as_interrupted():
        while waiting or running:
            try:
                while waiting and len(running) < parallel:
                    run = waiting.popleft()
                    try:
                        job = submit_local(run, request, profile)
                    except DualError as error:
                        ended += 1
                        say(f"{run.path.name}: {error} ({ended} of {total})")
                        continue
                    assert isinstance(job, LocalJob)
                    running[run.path.name] = run, job
                    say(f"{run.path.name}: started")
                for name, (run, job) in list(running.items()):
                    if job.done():
                        del running[name]
                        ended += 1
                        say(f"{name}: {local_outcome(run, job) or 'ended'} ({ended} of {total})")
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                interrupted += 1
                waiting.clear()
                say("killing what runs" if interrupted > 1 else "what runs saves and stops (Ctrl-C again to kill)")
                for run, job in running.values():
                    interrupt(run, job, kill=interrupted > 1)
    if interrupted:
        raise KeyboardInterrupt
