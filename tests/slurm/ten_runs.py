"""Ten runs on the development cluster, and what `dual-hpc goodput` says of each in the end.

Three are preempted, two lose a rank, two are requeued and one is stopped; two are left alone.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

from dual_hpc.run.directory import RunDir
from tests.slurm.observe import ends, slurm, starts, step_of
from tests.slurm.scene import ENDLESS, Scene

LIFE = 300.0  # seconds that each run has nodes at least: Slurm counts whole ones
PREEMPTED, FAILED, REQUEUED = ("low-0", "low-1", "low-2"), ("dies-0", "dies-1"), ("again-0", "again-1")
STOPPED, UNDISTURBED = ("pauses",), ("calm-0", "calm-1")
SETTINGS = (*ENDLESS, "checkpoint.every_steps=200", "training.log_every=10", "tracking.enabled=false")


def live_and_count(scene: Scene) -> dict[str, dict[str, Any]]:
    """Name of the run -> what `goodput --json` says of it."""
    runs: dict[str, RunDir] = {}
    for name in (*PREEMPTED, *FAILED, *REQUEUED, *STOPPED, *UNDISTURBED):
        low = name in PREEMPTED
        where = ("launch.partition=low", "launch.nodelist=n1") if low else ("launch.exclude=n1",)
        runs[name] = scene.submit(name, *SETTINGS, *where)
    began = time.monotonic()

    def train(some: tuple[str, ...], segments: int = 1) -> None:
        def all_train() -> bool:
            return all(len(starts(runs[n])) == segments and step_of(runs[n]) > starts(runs[n])[-1] for n in some)

        scene.until(f"{some} train in job {segments}", all_train, 600)

    def left(name: str, *states: str) -> bool:
        return scene.queue(runs[name]) not in states

    train(tuple(runs))
    time.sleep(30)
    blocker = slurm("sbatch", "--parsable", "--partition=high", "--nodelist=n1", "--exclusive", "--output=/dev/null",
                    "--wrap=sleep 900").strip()  # fmt: skip
    for name in FAILED:
        scene.signal_rank(runs[name], "KILL")
    for name in REQUEUED:
        slurm("scontrol", "requeue", scene.job(runs[name]))
    scene.dual("stop", *STOPPED)
    scene.until("the preempted have left", lambda: all(ends(runs[n]) for n in PREEMPTED))
    slurm("scancel", blocker)
    for name in (*FAILED, *STOPPED):
        scene.until(f"{name} has left", partial(left, name, "RUNNING", "COMPLETING"))
        if scene.queue(runs[name]) not in ("PENDING",):
            scene.dual("resume", name)
    train((*PREEMPTED, *FAILED, *REQUEUED, *STOPPED), 2)
    time.sleep(max(0.0, LIFE - (time.monotonic() - began)))
    for name in runs:
        scene.dual("stop", name)
    for name in runs:
        scene.until(f"{name} has left", partial(left, name, "RUNNING", "COMPLETING", "PENDING"))
    time.sleep(10)  # until the accounts are written
    return {name: json.loads(scene.dual("goodput", name, "--json")) for name in runs}
