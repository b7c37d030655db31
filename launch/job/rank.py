"""What a submitted job runs, once in the process of each rank. It is given the run directory and nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import stat
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from submitit import JobEnvironment
from submitit.helpers import TorchDistributedEnvironment

from dual_hpc.credentials import without_secrets
from dual_hpc.data.workers.count import CORES
from dual_hpc.errors import DualError
from dual_hpc.files.umask import keep_new_files_private
from dual_hpc.run.names import rank_log
from dual_hpc.run.this_job import JOB_ID, node_name, restart_count
from dual_hpc.training.environment import prepare_environment, reported
from launch.cluster.profiles import Profile
from launch.job import train_rank
from launch.job.failure_message import failure_message, full_of_this_node
from launch.job.gpu_check import describe_device, gpu_identity
from launch.job.node_faults import BadNode, WrongInstallation
from launch.job.notify import notify
from launch.job.old_logs import remove_of_earlier_jobs
from launch.job.ports import port_of
from launch.job.preflight import check_node
from launch.job.rendezvous import check_all_reduce, open_store, reachable_address, use_loopback, wait_for_all_ranks
from launch.job.requeue import requeue_or_chain
from launch.job.roll_call import Report
from launch.job.stacks import listen_for_stacks
from launch.records import failures, reserved, submissions
from launch.records.log_markers import JOB_START_MARKER

if TYPE_CHECKING:
    from torch.distributed import Store


def run_rank(run_dir: str) -> str:
    """Train `run_dir` as one rank of this job.

    A rank that fails exits at once, without the interpreter's clean-up: a process group whose peer is gone can hang
    there, and the other ranks are ended only when this process has.

    Returns:
        As `dual_hpc.training.loop.train`: "finished" or "stopped".
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})  # until the training handles them
    keep_new_files_private()
    job = JobEnvironment()
    logs = Path(run_dir) / "logs"
    log = logs / rank_log(job.global_rank)
    set_environment(job)
    redirect_output(log)
    for line in prepare_environment():
        print(line, flush=True)
    listen_for_stacks()
    if job.global_rank == 0:
        reserved.reserve(logs, job.num_tasks)
        remove_of_earlier_jobs(logs, job.job_id)
    print(
        f"{JOB_START_MARKER} {job.job_id}, restart {restart_count()}: rank {job.global_rank} on {node_name()}"
        f" at {time.strftime('%Y-%m-%d %H:%M:%S')}",
        flush=True,
    )
    if job.cluster == "local":
        die_with_parent()
    try:
        store = rendezvous(job, Path(run_dir))  # kept until torch has joined it
        from dual_hpc.training.loop import STOPPED, train

        ended = train(Path(run_dir))
        del store
        if ended == STOPPED and job.cluster == "slurm":
            if job.global_rank == 0:
                requeue_or_chain(Path(run_dir), job.job_id, restart_count(), train_rank)
            exit_now(0)
        if ended != STOPPED and job.global_rank == 0:
            requested = submissions.last_request(submissions.read(Path(run_dir)))
            notify(requested[0].notify if requested is not None else None, Path(run_dir), str(ended))
        return str(ended)
    except BaseException as error:
        sys.stderr.write(without_secrets(traceback.format_exc()))
        code, full = exit_code_of(error), full_of_this_node(error, Path(run_dir))
        bad_nodes = error.nodes if isinstance(error, BadNode) else [node_name()] if full is not None else []
        with contextlib.suppress(OSError):  # a full disk must not keep the rank; its log has the trace
            failures.record(
                logs,
                failures.Failure(
                    job_id=job.job_id,
                    rank=job.global_rank,
                    host=socket.gethostname(),
                    message=f"node {node_name()}: {full}" if full is not None else failure_message(error),
                    exit_code=code,
                    restart_count=restart_count(),
                    bad_nodes=bad_nodes,
                    installation=isinstance(error, WrongInstallation),
                    log=str(log),
                ),
            )
        exit_now(code)


def rendezvous(job: JobEnvironment, run: Path) -> Store:
    """Check this node and wait for all ranks; returns the store that they share.

    A rank that finds its node unfit says so there and waits: only all reports together show
    whether it is the node or the installation.

    Raises:
        BadNode: a node fails its checks, or does not answer.
        WrongInstallation: torch or the driver does not fit nodes of this kind.
        UserError: a node has fewer GPUs than ranks.
        EnvironmentFault: the store is full, or the network between the nodes fails.
    """
    nodes = [job.hostnames[rank * job.num_nodes // job.num_tasks] for rank in range(job.num_tasks)]
    requested = submissions.last_request(submissions.read(run))
    profile = requested[1] if requested is not None else Profile()
    problem = ""
    if job.cluster == "slurm":
        allocated = os.environ.get("SLURM_CPUS_PER_TASK")
        try:
            check_node(run, profile.has_gpus, int(allocated) if allocated else None)
        except BadNode as error:
            problem = error.problem
    report = Report(problem, "" if problem else gpu_identity())
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = open_store(nodes, job.global_rank, address, port, profile.answer_seconds)
    wait_for_all_ranks(store, nodes, job.global_rank, profile.answer_seconds, report)
    if job.cluster == "slurm":
        check_all_reduce(store, job.global_rank, job.num_tasks, profile.answer_seconds)
    print(describe_device(), *reported(), sep="\n  ", flush=True)
    return store


def exit_now(code: int) -> NoReturn:
    """End this process at once."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def set_environment(job: JobEnvironment) -> None:
    """RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, DUAL_JOB_ID; this rank's cores, and as many threads.

    CUDA_VISIBLE_DEVICES stays as Slurm set it: submitit would overwrite it with the local rank, which on a shared node
    may be another job's device.
    """
    os.environ[JOB_ID] = job.job_id
    os.environ.setdefault("MASTER_PORT", str(port_of(job.job_id)))
    exported = TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
    if job.cluster == "local":
        cores = max(1, len(os.sched_getaffinity(0)) // exported.local_world_size)
    else:
        cores = int(os.environ.get("SLURM_CPUS_PER_TASK") or len(os.sched_getaffinity(0)))
    os.environ[CORES] = str(cores)
    if job.num_nodes == 1:
        use_loopback()
    else:
        os.environ["MASTER_ADDR"] = reachable_address(exported.master_addr, os.environ)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores))


def redirect_output(log: Path) -> None:
    """Everything this process and its children write goes to `log`: a pipe to srun loses what comes at the end.

    Nobody else reads it, nor what was written before: libraries may log what only this user should see.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(file, 0o600)
    for before in (1, 2):
        if stat.S_ISREG(os.fstat(before).st_mode):
            os.fchmod(before, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def die_with_parent() -> None:
    """Ask Linux to kill this process with its controller, so that no rank is orphaned."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def exit_code_of(error: BaseException) -> int:
    """2 for a user's mistake, 130 for an interrupt, 1 otherwise."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.exit_code if isinstance(error, DualError) else 1
