"""`train` as a launcher calls it: `train.py RUN [POINT]`; with POINT this rank kills itself there.

POINT is a failpoint of the commit protocol, as `manifest:2` for the second time it is reached, or `step:7` before the
seventh step; `hang:7` makes it sleep there instead, `stall:7` makes it wait 20 seconds for its seventh micro-batch,
`signal:7` asks it to stop; `validating:2` asks in the second validation. SAMPLES in the environment names a folder; the
keys of every step are written to samples-RANK.jsonl in it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dual_hpc.checkpoint import commit
from dual_hpc.data.loader import EvalLoader
from dual_hpc.data.run_ahead import RunAhead
from dual_hpc.errors import DualError
from dual_hpc.training import loop, session


def die_at(point: str) -> None:
    name, _, count = point.partition(":")
    left = int(count or 1)

    def passed(where: str) -> None:
        nonlocal left
        left -= where == name
        if left == 0 and name == "hang":
            time.sleep(600)
        if left == 0:
            os.kill(os.getpid(), signal.SIGUSR2 if name in ("signal", "validating") else signal.SIGKILL)

    if name == "stall":
        take = RunAhead.__next__

        def taking(ahead: RunAhead[Any]) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                time.sleep(20)
            return take(ahead)

        RunAhead.__next__ = taking  # type: ignore[method-assign, assignment]
    elif name in ("step", "hang", "signal"):
        seed = session.seed_everything  # called once before every step

        def seeding(parts: object) -> None:
            passed(name)
            seed(parts)  # type: ignore[arg-type]

        session.seed_everything = seeding
    elif name == "validating":
        batches = EvalLoader.__iter__

        def validating(loader: EvalLoader) -> Iterator[Any]:
            passed(name)
            yield from batches(loader)

        EvalLoader.__iter__ = validating  # type: ignore[method-assign]
    else:
        commit.failpoint = passed  # type: ignore[assignment]


def note_samples(file: Path) -> None:
    """Append the keys that each step trains on; the step's number comes from its seed."""
    seed, train_step = session.seed_everything, session.train_step
    number = 0

    def seeding(parts: Sequence[int]) -> None:
        nonlocal number
        number = parts[1]
        seed(parts)

    def stepping(engine: Any, batches: Any, *rest: Any) -> Any:
        keys: list[str] = []

        def noted() -> Iterator[Any]:
            for batch in batches:
                keys.extend(batch["keys"])
                yield batch

        report = train_step(engine, noted(), *rest)
        with open(file, "a") as lines:
            lines.write(json.dumps({"step": number, "keys": keys}) + "\n")
        return report

    session.seed_everything, session.train_step = seeding, stepping  # type: ignore[assignment]


if __name__ == "__main__":
    if os.environ.get("SAMPLES"):
        note_samples(Path(os.environ["SAMPLES"]) / f"samples-{os.environ['RANK']}.jsonl")
    if len(sys.argv) > 2 and os.environ["RANK"] == os.environ.get("DIES", "0"):
        die_at(sys.argv[2])
    try:
        print(loop.train(Path(sys.argv[1])))
    except DualError as error:
        print(f"{type(error).__name__}: {error}")
        os._exit(error.exit_code)
