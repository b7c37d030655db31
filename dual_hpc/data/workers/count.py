"""How many data workers a rank starts: `data.workers`, or with `auto` what its cores allow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

CORES = "DUAL_RANK_CORES"  # in the environment of a rank: how many cores are its own
MOST_FOR_MEDIA, MOST_FOR_FEATURES = 16, 4  # each holds decoders and two micro-batches; features are only read


def worker_count(workers: int | Literal["auto"], cores: int, features: bool) -> int:
    """`workers`, or for "auto" one per core but the first, which the training itself needs; at least one."""
    if workers != "auto":
        return workers
    return max(1, min(cores - 1, MOST_FOR_FEATURES if features else MOST_FOR_MEDIA))


def cores_of_rank(environ: Mapping[str, str] = os.environ) -> int:
    """What the job says, else the cores that this process may use."""
    said = environ.get(CORES, "")
    return int(said) if said.isdigit() and int(said) else len(os.sched_getaffinity(0))
