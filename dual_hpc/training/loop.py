"""`train`: one rank's part in a run, from its directory to a finished model. Reads from top to bottom."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dual_hpc.config import RunConfig
from dual_hpc.plugins import load_plugins
from dual_hpc.run.directory import RunDir
from dual_hpc.run.lease import hold_lease
from dual_hpc.run.this_job import job_id
from dual_hpc.training.distributed import World, joined, seed_everything
from dual_hpc.training.stop_requests import StopRequests
from dual_hpc.training.stopping import StopFlag, leave, listening
from dual_hpc.training.watchdog import Watchdog

FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"


def train(run_dir: Path) -> str:
    """Train, or go on training, the run in `run_dir`. Called once in the process of every rank.

    RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT say who we are. Calling it again continues behind the
    newest proven checkpoint; a finished run is left alone.

    Returns:
        "finished", or "stopped" if the job was asked to stop and has saved.

    Raises:
        UserError: configuration, data or checkpoint do not fit, the loss stayed non-finite, or another living job
            works on the run.
        EnvironmentFault: the machine failed; no checkpoint is usable.
    """
    run = RunDir.open(run_dir)
    config = run.config()
    load_plugins(config.plugins)
    os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(run.path / ".torch_extensions"))  # another job's lock hangs us
    with (
        listening(60 * config.checkpoint.give_up_minutes) as stop,
        joined(config.training.collective_timeout_minutes) as world,
    ):
        if world.broadcast(any(segment.reason == FINISHED for segment in run.segments())):
            return FINISHED
        watchdog = Watchdog(60 * config.training.hang_minutes, 60 * config.training.collective_timeout_minutes)
        with hold_lease(run.path, world, job_id(), leave) as fence, closing(watchdog):
            return _train(run, config, world, stop, fence, watchdog)


def _train(
    run: RunDir, config: RunConfig, world: World, stop: StopFlag, fence: Callable[[], None], watchdog: Watchdog
) -> str:
    from dual_hpc.training.memory import peak_memory
    from dual_hpc.training.optimizer import set_learning_rates
    from dual_hpc.training.schedule import lr_factor
    from dual_hpc.training.session import Session
    from dual_hpc.training.step import Wishes, train_step

    requests = StopRequests(stop, run.path, world.rank, os.environ, config.checkpoint.margin_seconds)
    watchdog.waiting()
    session = Session(run, config, world, fence)
    engine, plan, progress, reporter = session.engine, session.plan, session.progress, session.reporter
    logged_at, logged_step = time.monotonic(), progress.step
    ended, due = FAILED, False
    try:
        # Owed by the job before. The deadline does not end it: each job gets on, also one that is nearly too short.
        if progress.owes_validation and not session.validate(requests.told):
            reporter.event("stop", progress.step, reason=requests.why())
            ended = STOPPED  # this step is saved already
            return ended
        batches = iter(session.loader)
        while progress.step < plan.total_steps:
            step = progress.step + 1
            session.watch_save()
            requests.save_seconds = session.save_seconds
            watchdog.stepping()
            seed_everything((config.seed, step, world.rank))
            factor = lr_factor(step, plan.total_steps, config.optim)
            lr = set_learning_rates(engine.deepspeed.optimizer, engine.peaks, factor)
            batch = next(batches)
            wishes = Wishes(requests.asked(), session.wants_save(), len(session.loader.bad_samples))
            report = train_step(engine, batch, world, wishes)

            progress.step, progress.loader, progress.score = step, session.loader.state_dict(), None
            session.agree_on_bad_samples(report.bad_samples)
            progress.owes_validation = plan.validates(step)
            progress.skipped += not report.applied
            reporter.step(step, plan.total_steps, report.losses["loss"])
            session.care(report)
            if step % config.training.log_every == 0 or step in (1, plan.total_steps):
                now = time.monotonic()
                speed = (step - logged_step) * plan.global_batch / (now - logged_at)
                logged_at, logged_step = now, step
                losses = {f"train/{name}": value for name, value in report.losses.items()}
                rest = {"lr": lr, "grad_norm": report.grad_norm, "epoch": plan.epoch(step), "samples_per_second": speed}
                rest |= {"padding": session.loader.padding, **peak_memory(world.device)}
                reporter.metrics(step, losses | {f"train/{name}": value for name, value in rest.items()})

            watchdog.waiting()
            if report.stop or (progress.owes_validation and not session.validate(requests.asked)):
                reporter.event("stop", step, reason=requests.why())
                session.save(last_chance=True)
                ended = STOPPED
                return ended
            due |= plan.saves(step) or report.save
            if due and (not progress.sick or step == plan.total_steps):  # a sick step changed nothing worth saving
                session.save(last_chance=step == plan.total_steps)
                due = False

        session.export("last")
        ended = FINISHED
        return ended
    finally:
        watchdog.waiting()
        session.end_save()
        watchdog.close()  # MLflow may take its time
        session.close(ended, finished=ended == FINISHED)
