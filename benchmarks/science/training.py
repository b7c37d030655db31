"""Train and evaluate one run in a process of its own that begins with everything imported: a fork takes no seconds.

The training is the one of `dual-hpc train` (`dual_hpc.training.loop.train` on a run directory), and the evaluation that
of `dual-hpc evaluate`; both continue where they were killed.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path

from dual_hpc.config.schema import RunConfig
from dual_hpc.evaluation.prediction_file import ENDING
from dual_hpc.run.directory import RunDir
from launch.job.ports import free_port
from launch.job.rendezvous import use_loopback
from launch.runs.plan import plan_config

REPORT = "test_best"


def predictions_file(run: Path) -> Path:
    """What a finished member leaves."""
    return RunDir(run).reports / f"{REPORT}{ENDING}"


# Imported by a training and an evaluation as they go; DeepSpeed's engine brings torch's compiler, which takes seconds.
IMPORTED = (
    "deepspeed.runtime.zero.muon.original_muon",
    "dual_hpc.evaluation.run",
    "dual_hpc.training.build",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
)


def import_all() -> None:
    """So that a fork of this process need not."""
    for name in IMPORTED:
        importlib.import_module(name)


def finish(config: RunConfig) -> Path:
    """Train and evaluate the run of a configuration, unless that was done; returns its folder.

    Raises:
        RuntimeError: it failed; its log has the reason.
    """
    plan = plan_config(config)
    if predictions_file(plan.path).exists():
        return plan.path
    plan.open()
    child = os.fork()
    if child == 0:
        _exit(plan.path)
    _, status = os.waitpid(child, 0)
    if status != 0 or not predictions_file(plan.path).exists():
        raise RuntimeError(f"{plan.path.name} failed, see {_log(plan.path)}")
    return plan.path


def _exit(run: Path) -> None:
    """The child: everything that it says goes into its run's log."""
    code = 1
    try:
        _log(run).parent.mkdir(exist_ok=True)
        log = os.open(_log(run), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        _train(run)
        code = 0
    except BaseException:  # the child of a fork must never return into what its parent was doing
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _train(run: Path) -> None:
    from dual_hpc.evaluation.run import evaluate_run
    from dual_hpc.training.loop import FINISHED, train

    os.environ |= {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_PORT": str(free_port()),
    }
    use_loopback()
    if train(run) != FINISHED:
        raise RuntimeError("the training was stopped")
    evaluate_run(run, progress=False)


def _log(run: Path) -> Path:
    return run / "logs" / "science.log"
