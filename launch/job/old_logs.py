"""What the ranks of earlier jobs of a run left in `logs/` and nobody reads: two files per rank and job.

A rank writes to `rank_NNNN.log`, which all jobs of the run continue. submitit makes two more files for each rank of
each job: what the rank printed before its output went to that log, mostly nothing, and the pickle of what its function
returned. A run of 512 ranks and ten jobs would leave 10,000 of them, where a quota counts files.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

_LEFT = re.compile(r"(?P<job>\d+)_(?P<task>\d+)_(?P<kind>result\.pkl|log\.out)")


def remove_of_earlier_jobs(logs: Path, job_id: str) -> int:
    """Remove results, and logs that are empty, of the ranks of other jobs than `job_id`; how many files.

    Rank 0's log stays, empty or not: srun writes to it how the job ended. What cannot be removed stays as well.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for path in logs.iterdir():
            match = _LEFT.fullmatch(path.name)
            if match is None or match["job"] == job_id or path.is_symlink():
                continue
            with contextlib.suppress(OSError):
                if match["kind"] == "result.pkl" or (match["task"] != "0" and path.stat().st_size == 0):
                    path.unlink()
                    removed += 1
    return removed
