"""What a command that followed a training says at its end, and its exit code."""

from __future__ import annotations

from pathlib import Path

STOPPED = 3  # exit code: it saved and stopped before its last step; `train && evaluate` must not go on


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
