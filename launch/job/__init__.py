"""What runs inside an allocation: a rank's start, its checks of the node, and how a job continues itself.

`launch.job.train_rank` is a permanent address (contract 11): submitit writes it into every job's pickle, and a run that
is resumed executes the code of its own archive, which may be older or newer than the code that resumes it.
"""

from __future__ import annotations


def train_rank(run_dir: str) -> str:
    """Train `run_dir` as one rank of this job; see `launch.job.rank`."""
    from launch.job.rank import run_rank

    return run_rank(run_dir)
