"""Notice when the engine enters a collective: what a rank does itself ends there, and the wait for others begins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from dual_hpc.training.phase_times import PhaseTimes

# Methods of DeepSpeed's communication backend, through which all its collectives go.
OPERATIONS = (
    *("all_reduce", "inference_all_reduce", "all_reduce_coalesced", "reduce", "reduce_scatter"),
    *("reduce_scatter_tensor", "broadcast", "all_gather", "all_gather_into_tensor", "all_gather_coalesced"),
    *("all_to_all_single", "all_to_all", "barrier"),
)


def hook_collectives(times: PhaseTimes) -> None:
    """Let the collectives of this process's engine cut the phases of `times`; those of an earlier call no more.

    Nothing where DeepSpeed has joined no process group.
    """
    comm = sys.modules.get("deepspeed.comm.comm")  # not imported for this alone
    if comm is not None and comm.cdb is not None:
        hook(comm.cdb, times)


def hook(backend: Any, times: PhaseTimes) -> None:
    """Wrap the collectives of a backend, and what the asynchronous ones return."""
    for name in OPERATIONS:
        operation = getattr(type(backend), name, None)
        if operation is not None:
            setattr(backend, name, _timed(operation.__get__(backend), times))


class _Work:
    """A collective that goes on; its `wait` is a part of it."""

    def __init__(self, work: Any, times: PhaseTimes) -> None:
        self._work, self._times = work, times

    def wait(self, *arguments: Any, **named: Any) -> Any:
        self._times.enter_collective()
        try:
            return self._work.wait(*arguments, **named)
        finally:
            self._times.leave_collective()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)


def _timed(operation: Callable[..., Any], times: PhaseTimes) -> Callable[..., Any]:
    @wraps(operation)
    def timed(*arguments: Any, **named: Any) -> Any:
        times.enter_collective()
        try:
            work = operation(*arguments, **named)
        finally:
            times.leave_collective()
        return _Work(work, times) if hasattr(work, "wait") else work

    return timed
