"""`train` as a launcher calls it: `train.py RUN [POINT]`; with POINT this rank kills itself there.

POINT is a point of the commit protocol, as `manifest:2` for its second passing, or `step:7` before the seventh step.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from dual_hpc.checkpoint import commit
from dual_hpc.errors import DualError
from dual_hpc.training import run


def die_at(point: str) -> None:
    name, _, count = point.partition(":")
    left = int(count or 1)

    def passed(where: str) -> None:
        nonlocal left
        left -= where == name
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if name == "step":
        seed = run.seed_everything  # called once before every step

        def seeding(parts: object) -> None:
            passed("step")
            seed(parts)  # type: ignore[arg-type]

        run.seed_everything = seeding  # type: ignore[assignment]
    else:
        commit.reached = passed


if __name__ == "__main__":
    if len(sys.argv) > 2 and os.environ["RANK"] == os.environ.get("DIES", "0"):
        die_at(sys.argv[2])
    try:
        print(run.train(Path(sys.argv[1])))
    except DualError as error:
        print(f"{type(error).__name__}: {error}")
        os._exit(error.exit_code)
