"""A trace of some steps of chosen ranks: those that `training.profile_steps` names, and those of a run that trains
already, for which `dual-hpc profile RUN` asks with a file.

Every rank looks for the file itself, every few seconds, and profiles itself: nothing is exchanged. A trace that cannot
be written is only reported.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dual_hpc.run.profile_request import ProfileRequest, planned_trace_file, read_request, trace_file

CHECK_SECONDS = 5.0  # between two looks for the file: the file system is shared


def never_traced(planned: tuple[int, int] | None, ranks: Sequence[int], step: int, total: int, size: int) -> str:
    """Why some of a planned trace will not be written; empty where all will be.

    Args:
        step, total: steps that are done, and of the whole run.
        size: how many ranks there are.
    """
    if planned is None:
        return ""
    named = f"training.profile_steps=[{planned[0]}, {planned[1]}]"
    if planned[0] > total:
        return f"{named}: no trace, the run ends at step {total}"
    if absent := [rank for rank in ranks if rank >= size]:
        return f"training.profile_ranks: no trace of rank {', '.join(map(str, absent))}, the ranks are 0 to {size - 1}"
    if step == 0 and planned[1] > total:
        return f"{named}: the trace ends with the run, at step {total}"
    return ""


class StepProfiler:
    """What this rank profiles of its steps.

    Args:
        run: the run directory.
        planned: the first and the last step of the trace that the run's settings name.
        planned_ranks: that write it.
    """

    def __init__(
        self,
        run: Path,
        rank: int,
        planned: tuple[int, int] | None = None,
        planned_ranks: Sequence[int] = (0,),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._rank, self._clock = run, rank, clock
        self._planned = planned if rank in planned_ranks else None
        self._looked = float("-inf")
        self._request: ProfileRequest | None = None
        self._profile: Any = None
        self._target = run
        self._left = 0

    def before_step(self, step: int) -> None:
        """Begin a trace, if one is asked for.

        Args:
            step: the one that follows, counted from 1.
        """
        if self._profile is not None:
            return
        if self._planned is not None and self._planned[0] <= step <= self._planned[1]:
            planned, self._planned = self._planned, None
            # A job that goes on within these steps traces the rest of them.
            self._begin(planned_trace_file(self._run, planned, self._rank), planned[1] - step + 1)
        elif self._clock() - self._looked >= CHECK_SECONDS:
            self._looked = self._clock()
            request = read_request(self._run)
            if request is not None and self._rank in request.ranks and request != self._request:
                self._request = request
                self._begin(trace_file(self._run, request, self._rank), request.steps)

    def after_step(self) -> None:
        """End the trace after its last step, and write it."""
        if self._profile is None:
            return
        self._left -= 1
        if self._left <= 0:
            self.close()

    def close(self) -> None:
        """Write the trace that has begun, if there is one, of the steps so far."""
        if self._profile is None:
            return
        trace, self._profile = self._profile, None
        try:
            trace.stop()
            self._write(trace, self._target)
        except Exception as error:  # a full disk, a profiler that another tool uses: the training goes on
            self._warn(error)

    def _begin(self, target: Path, steps: int) -> None:
        if target.exists():  # an earlier job has done it
            return
        from torch.profiler import ProfilerActivity, profile, supported_activities

        kinds = {ProfilerActivity.CPU, ProfilerActivity.CUDA} & set(supported_activities())
        try:
            trace = profile(activities=sorted(kinds, key=str))
            trace.start()
        except Exception as error:  # another tool uses the profiler: the training goes on
            self._warn(error)
            return
        self._profile, self._target, self._left = trace, target, steps

    def _warn(self, error: Exception) -> None:
        print(f"WARNING: no profile of rank {self._rank}: {error}", file=sys.stderr, flush=True)

    @staticmethod
    def _write(trace: Any, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        plain, packed = (target.with_name(f".{os.getpid()}.{end}") for end in ("json", "json.gz"))
        try:
            trace.export_chrome_trace(str(plain))
            with plain.open("rb") as source, gzip.open(packed, "wb", compresslevel=3) as sink:
                shutil.copyfileobj(source, sink)
            packed.rename(target)
        finally:
            for left in (plain, packed):
                left.unlink(missing_ok=True)
