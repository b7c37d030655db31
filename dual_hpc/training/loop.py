"""`train`: one rank's part in a run, from its directory to a finished model. Reads from top to bottom.

Nothing here imports torch before the signal handlers are installed: that import takes seconds.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc import heartbeat
from dual_hpc.plugins import load_plugins
from dual_hpc.run.directory import RunDir
from dual_hpc.run.lease import hold_lease
from dual_hpc.run.this_job import job_id
from dual_hpc.training.data_stall import PATIENCE_SECONDS, DataStalls, open_counter
from dual_hpc.training.distributed import init_distributed
from dual_hpc.training.stop_requests import StopRequests
from dual_hpc.training.stopping import exit_now, stop_signals
from dual_hpc.training.watchdog import Watchdog

if TYPE_CHECKING:
    from dual_hpc.training.session import Session

FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
OTHER_RANK = "asked by another rank"  # why this rank stops if it has no reason of its own


def train(run_dir: Path) -> str:
    """Train the run in `run_dir`, or resume it. Called once in the process of every rank.

    RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT describe the process group. A later call resumes from the
    latest verified checkpoint; a finished run is left as it is.

    Returns:
        "finished", or "stopped" if the job was asked to stop and has saved.

    Raises:
        UserError: configuration, data or checkpoint do not fit, the loss stayed non-finite, or another running job
            works on the run.
        EnvironmentFault: the machine failed, or no checkpoint is usable.
    """
    run = RunDir.open(run_dir)
    config = run.config()
    load_plugins(config.plugins)
    os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(run.path / ".torch_extensions"))  # another job's lock blocks us
    with (
        stop_signals(60 * config.checkpoint.give_up_minutes) as signals,
        # A rank may wait for data for so long, and the others for it; the watchdog notices hangs before.
        init_distributed(max(config.training.collective_timeout_minutes, PATIENCE_SECONDS / 60)) as world,
    ):
        if world.broadcast(run.has_finished()):
            return FINISHED
        watchdog = Watchdog(60 * config.training.hang_minutes, 60 * config.training.collective_timeout_minutes)
        with (
            hold_lease(run.path, world, job_id(), exit_now) as check_ownership,
            closing(watchdog),
            closing(DataStalls(watchdog, 10 * config.training.hang_minutes, open_counter(world.size))),
            heartbeat.on_beat(watchdog.progressed),
        ):
            stop = StopRequests(signals, run.path, world.rank, os.environ, config.checkpoint.margin_seconds)
            watchdog.waiting()
            from dual_hpc.model.arithmetic import arithmetic
            from dual_hpc.training.build import build_session
            from dual_hpc.training.memory_snapshot import snapshot_when_out_of_memory

            with (
                arithmetic(config.training.tf32, config.training.deterministic),
                snapshot_when_out_of_memory(run.logs, world.rank, world.device, config.training.memory_history),
            ):
                return run_session(build_session(run, config, world, check_ownership), stop, watchdog)


def run_session(session: Session, stop: StopRequests, watchdog: Watchdog) -> str:
    """Run the training loop, then wait for the pending save and close everything, also after an error.

    Returns and raises as `train`.
    """
    ended = FAILED
    try:
        with heartbeat.on_beat(session.reporter.progressed):
            ended = training_loop(session, stop, watchdog)
        return ended
    finally:
        watchdog.waiting()
        session.finish_save()
        watchdog.close()  # the last synchronisation with MLflow may take long
        session.close(ended, finished=ended == FINISHED)


def training_loop(session: Session, stop: StopRequests, watchdog: Watchdog) -> str:
    """Train to the last step of the schedule, or until a rank is asked to stop.

    Each step: take the next batch; make one update, in whose reduction the ranks also agree on who asks to stop or to
    save; record it; validate if due, after a save; stop if asked; save if due. All ranks take the same branches,
    because every condition here is either computed from the same numbers or agreed on.

    What interrupts a validation leaves it pending, of a step that is saved: the next job does it first.

    Returns:
        "finished": the weights of the last step are saved and exported as `last`. "stopped": the last step done is
        saved.

    Raises:
        UserError, EnvironmentFault: on all ranks, as the methods of `Session`.
    """
    # The deadline does not interrupt this validation, so that every job makes progress, even one that is very short.
    if not session.validate_if_pending(lambda: stop.reason(deadline=False) is not None):
        session.report_stop(stop.reason() or OTHER_RANK)
        return STOPPED  # the step was saved by the job before
    while not session.finished:
        session.poll_save()
        stop.save_seconds = session.save_seconds

        watchdog.stepping()
        batch = session.next_batch()
        report = session.update(batch, lambda: stop.reason() is not None)
        session.record(report)

        watchdog.waiting()
        if report.stop or not session.validate_if_pending(lambda: stop.reason() is not None):
            session.report_stop(stop.reason() or OTHER_RANK)
            session.save(final=True)
            return STOPPED
        session.save_if_due(report.save)
    session.export("last")
    return FINISHED
