"""What happens to a run in a night, and how one sees that it was right.

Each event is a generator: it does something to the run and yields until what must follow has followed. Where the run
has ended, it checks the state and the cause that `dual-hpc why` gives, and resumes it as its user would.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from dual_hpc.run.directory import RunDir
from launch.cluster.state import State
from launch.records import submissions
from launch.runs.status import has_finished
from tests.night.fleet import Fleet, lives, mount_small_disk, wait
from tests.slurm.observe import continuations, is_in, node, nodes_of, slurm
from tests.slurm.test_silent_slurm import failing

Event = Callable[[Fleet, RunDir, random.Random], Iterator[None]]
SILENCE = 20.0  # seconds for which the controller does not answer
REFUSALS = 3  # of Slurm's own scancel, after which it is the cluster's fault
ROOT = Path(os.environ.get("SLURM_CONF", "/nowhere/etc/slurm.conf")).parents[1]


def job_of(run: RunDir) -> str:
    return str(submissions.last_job(submissions.read(run.path)))


def again(fleet: Fleet, run: RunDir, before: int) -> Iterator[None]:
    """Until the run trains again or waits for it, by itself; it may also have finished before it noticed anything."""
    for _ in wait(f"{run.path.name} goes on"):
        if lives(run) > before or has_finished(run) or fleet.queue.get(run.path.name) == "PENDING":
            return
        if (found := fleet.ended(run)) is not None:
            raise AssertionError(f"{run.path.name} ended by itself: {found.state}: {found.sentence}")
        yield


def scancel_job(run: RunDir, *options: str) -> None:
    """Slurm's own command, given again where a controller that was silent a moment ago has refused it."""
    for attempt in range(REFUSALS + 1):
        try:
            slurm("scancel", *options, job_of(run))
            return
        except subprocess.CalledProcessError:
            if attempt == REFUSALS:
                raise
            time.sleep(5)


def ask(fleet: Fleet, verb: str, run: RunDir) -> str:
    """`dual-hpc stop` or `cancel`; "" where it is refused because no job of the run is left when it is asked."""
    try:
        return fleet.dual(verb, run.path)
    except AssertionError:
        fleet.look()
        if has_finished(run) or run.path.name not in fleet.queue:
            return ""
        raise


def ends(fleet: Fleet, run: RunDir, causes: Collection[str], words: str = "") -> Iterator[None]:
    """Until `why` gives one of these causes; then the run is resumed, and goes on."""
    before = lives(run)
    for _ in wait(f"{run.path.name} is {' or '.join(causes)}"):
        if has_finished(run):
            return
        found = fleet.ended(run)
        if found is not None and found.as_json()["cause"] in causes and words in found.sentence:
            break
        yield
    fleet.dual("resume", run.path)
    yield from again(fleet, run, before)


def signal(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    before = lives(run)
    scancel_job(run, "--signal=USR2")
    yield from again(fleet, run, before)


def signal_to_all(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    """The batch script gets it as well."""
    before = lives(run)
    scancel_job(run, "--full", "--signal=USR2")
    yield from again(fleet, run, before)


def time_limit(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    """A limit that is nearly reached; the next start gets the former one."""
    before, job = lives(run), job_of(run)
    used = slurm("squeue", "--noheader", f"--jobs={job}", "--format=%M").strip().split("-")[-1].split(":")
    minutes = int(used[-2]) + 60 * (int(used[-3]) if len(used) > 2 else 0)
    slurm("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes + 1}")
    for _ in wait("the limit is noticed"):
        if (len(continuations(run)) and continuations(run)[-1][0] == "requeue") or lives(run) > before:
            break
        if has_finished(run):
            return
        if (found := fleet.ended(run)) is not None and found.state is State.OUT_OF_TIME:
            yield from ends(fleet, run, [found.as_json()["cause"]])  # too busy to save between warning and limit
            return
        yield
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=30")
    yield from again(fleet, run, before)


def stop(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    ask(fleet, "stop", run)
    yield from ends(fleet, run, ["stopped"], "`dual-hpc stop`")


def stop_twice(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    ask(fleet, "stop", run)
    said = ask(fleet, "stop", run)
    if said and "was asked to stop at" not in said:
        raise AssertionError(f"a second stop says: {said}")
    yield from ends(fleet, run, ["stopped"], "`dual-hpc stop`")


def scancel(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    scancel_job(run)
    yield from ends(fleet, run, ["cancelled"], "someone's scancel")


def scancel_to_all(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    scancel_job(run, "--full")
    yield from ends(fleet, run, ["cancelled"])


def cancel(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    ask(fleet, "cancel", run)
    yield from ends(fleet, run, ["cancelled"], "`dual-hpc cancel`")


def silent_sbatch(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    """The job that resumes a run is accepted by an sbatch that times out: there must be one job, not two or none."""
    before = lives(run)
    ask(fleet, "stop", run)
    for _ in wait(f"{run.path.name} is stopped"):
        if has_finished(run):
            return
        if (found := fleet.ended(run)) is not None and found.state is State.STOPPED:
            break
        yield
    programs = fleet.place / f"sbatch-{time.monotonic_ns()}"
    programs.mkdir()
    failing(programs, "sbatch", f'{shutil.which("sbatch")} "$@" > /dev/null; silent')
    fleet.dual("resume", run.path, path=programs)
    jobs = slurm("squeue", "--me", "--noheader", f"--name={run.path.name}", "--states=PENDING,RUNNING", "--format=%i")
    if len(jobs.split()) != 1:
        raise AssertionError(f"jobs of {run.path.name} after a silent sbatch: {jobs.split()}")
    yield from again(fleet, run, before)


def killed_rank(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    """Where there is a checkpoint since the last failure the run goes on; otherwise it says which signal it was."""
    before = lives(run)
    target = draw.choice(nodes_of(job_of(run)))
    process = f"[_]_main__.py.*submitit.core._submit {run.logs}"  # srun's own words name code.zip instead
    node("exec", target, "sh", "-c", f"kill -9 $(pgrep -f '{process}' | head -1)")
    for _ in wait(f"{run.path.name} goes on or fails"):
        if lives(run) > before or has_finished(run):
            return
        if (found := fleet.ended(run)) is not None and found.cause == "killed":
            yield from ends(fleet, run, ["killed"], "killed by signal 9")
            return
        yield


def preemption(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    before = lives(run)
    options = ("--partition=high", "--exclusive", "--output=/dev/null", "--time=3", "--wrap=sleep 10")
    blocker = slurm("sbatch", "--parsable", f"--nodelist={nodes_of(job_of(run))[0]}", *options).strip()
    try:
        yield from again(fleet, run, before)
    finally:
        slurm("scancel", "--quiet", blocker)


def power_cut(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    before = lives(run)
    target = draw.choice(nodes_of(job_of(run)))
    node("crash", target)
    for _ in wait(f"{target} is down"):
        if is_in(target, "down"):
            break
        yield
    node("start", target, f"10.77.0.1{target[1:]}")
    for _ in wait(f"{target} is back"):
        if is_in(target, "idle", "mixed", "allocated"):
            break
        yield
    mount_small_disk(fleet.place, target)
    yield from again(fleet, run, before)


def silence(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    """The controller does not answer while a run is told to go on in another start, and its user asks why."""
    before = lives(run)
    scancel_job(run, "--signal=USR2")
    freeze = ["sh", "-c", f"kill -$0 $(cat {ROOT}/run/slurmctld.pid)"]
    node("exec", "head", *freeze, "STOP")
    try:
        said = fleet.dual("why", run.path)
        time.sleep(SILENCE)
    finally:
        node("exec", "head", *freeze, "CONT")
    if "Slurm does not answer" not in said and "finished" not in said:
        raise AssertionError(f"with a silent controller `why` says: {said}")
    yield from again(fleet, run, before)


def stranger(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    """Somebody else's scancel and stop file: refused, and nothing happens."""
    for words in (["scancel", job_of(run)], ["touch", str(run.stop_file)]):
        done = subprocess.run(words, capture_output=True, text=True, user="nobody", group="nogroup", extra_groups=[])
        if words[0] == "touch" and done.returncode == 0:
            raise AssertionError("a stranger could write into a run")
    for _ in range(4):  # looks, however long each takes: the controller may be silent meanwhile
        if fleet.ended(run) is not None:
            raise AssertionError(f"a stranger has ended {run.path.name}")
        yield


def full_disk(fleet: Fleet, run: RunDir, draw: random.Random) -> Iterator[None]:
    """No room for the checkpoint of a run that is told to save; there is room again before it is resumed."""
    ballast = fleet.place / "small" / "ballast"
    free = os.statvfs(ballast.parent)
    subprocess.run(["fallocate", f"--length={free.f_bavail * free.f_bsize - 65536}", ballast], check=True)
    try:
        scancel_job(run, "--signal=USR2")
        for _ in wait(f"{run.path.name} has no room"):
            if has_finished(run):
                return
            if (found := fleet.ended(run)) is not None and found.cause == "full":
                break
            yield
    finally:
        ballast.unlink(missing_ok=True)
    yield from ends(fleet, run, ["full"], "the disk or the quota was full")


EVENTS: dict[str, Event] = {
    "USR2": signal,
    "USR2 --full": signal_to_all,
    "time limit": time_limit,
    "stop": stop,
    "stop twice": stop_twice,
    "scancel": scancel,
    "scancel --full": scancel_to_all,
    "cancel": cancel,
    "silent sbatch": silent_sbatch,
    "kill -9": killed_rank,
    "preemption": preemption,
    "power cut": power_cut,
    "silent controller": silence,
    "stranger": stranger,
    "full disk": full_disk,
}
ALONE = {"power cut", "silent controller"}  # one of these at a time


def fits(kind: str, run: RunDir) -> bool:
    """Whether this can happen to this run."""
    if kind == "full disk":
        return run.path.parents[1].name == "small"
    nodes = nodes_of(job_of(run))
    foreign = slurm("squeue", "--noheader", f"--nodelist={','.join(nodes)}", "--format=%i").split() if nodes else []
    if kind == "preemption":
        return "low" in str(run.config().launch.partition) and len(set(foreign)) == 1
    return kind != "power cut" or (bool(nodes) and len(set(foreign)) == 1)
