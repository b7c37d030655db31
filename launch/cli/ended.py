"""What a command says at its end: how a training ended, and what to do next."""

from __future__ import annotations

from pathlib import Path

STOPPED = 3  # exit code: it saved and stopped before its last step; `train && evaluate` must not go on


def next_commands(name: str) -> str:
    """What to do with a run that was just submitted."""
    return f"next: `dual-hpc watch {name}` shows it live, `dual-hpc why {name}` explains what becomes of it"


def report_interruption(run: Path, local: bool) -> None:
    """After Ctrl-C: what became of the run, and how it goes on; a job of Slurm does so without its watcher."""
    import sys

    from dual_hpc.run import names
    from launch.runs.progress import RunProgress

    if not local:
        hint = f"`dual-hpc watch {run.name}` shows it again, `dual-hpc stop {run.name}` saves and stops it"
        print(f"the job goes on; {hint}", file=sys.stderr, flush=True)
        return
    progress = RunProgress()
    progress.update(run / names.JOURNAL)
    of = f" of {progress.total}" if progress.total else ""
    hint = f"the same command, or `dual-hpc train --run {run.name}`, continues from its last checkpoint"
    print(f"stopped at step {progress.step}{of}: {hint}", file=sys.stderr, flush=True)


def report_end(run: Path) -> int:
    """0 where the run is finished; else say that it was stopped, and how it continues."""
    from dual_hpc.run import names
    from launch.runs.progress import RunProgress
    from launch.runs.submit import is_finished

    if is_finished(run):
        print(f"done: `dual-hpc evaluate {run}` scores it on the test split", flush=True)
        return 0
    progress = RunProgress()
    progress.update(run / names.JOURNAL)
    of = f" of {progress.total}" if progress.total else ""
    print(f"stopped at step {progress.step}{of}: `dual-hpc resume {run.name}` continues it", flush=True)
    return STOPPED
