"""A trace of some steps of chosen ranks, of a run that trains already: `dual-hpc profile RUN` asks for it with a file.

Every rank looks for the file itself, every few seconds, and profiles itself: nothing is exchanged. A trace that cannot
be written is only reported.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dual_hpc.run.profile_request import ProfileRequest, read_request, trace_file

CHECK_SECONDS = 5.0  # between two looks for the file: the file system is shared


class StepProfiler:
    """What this rank profiles of its steps.

    Args:
        run: the run directory.
    """

    def __init__(self, run: Path, rank: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._run, self._rank, self._clock = run, rank, clock
        self._looked = float("-inf")
        self._request: ProfileRequest | None = None
        self._profile: Any = None
        self._left = 0

    def before_step(self) -> None:
        """Begin a trace, if one is asked for."""
        if self._profile is not None or self._clock() - self._looked < CHECK_SECONDS:
            return
        self._looked = self._clock()
        request = read_request(self._run)
        if request is None or self._rank not in request.ranks or request == self._request:
            return
        self._request = request
        if trace_file(self._run, request, self._rank).exists():  # an earlier job has done it
            return
        from torch.profiler import ProfilerActivity, profile, supported_activities

        kinds = {ProfilerActivity.CPU, ProfilerActivity.CUDA} & set(supported_activities())
        try:
            trace = profile(activities=sorted(kinds, key=str))
            trace.start()
        except Exception as error:  # another tool uses the profiler: the training goes on
            self._warn(error)
            return
        self._profile, self._left = trace, request.steps

    def after_step(self) -> None:
        """End the trace after its last step, and write it."""
        if self._profile is None:
            return
        self._left -= 1
        if self._left > 0:
            return
        trace, self._profile = self._profile, None
        assert self._request is not None
        try:
            trace.stop()
            self._write(trace, trace_file(self._run, self._request, self._rank))
        except Exception as error:  # a full disk, a profiler that another tool uses: the training goes on
            self._warn(error)

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
