"""Worker processes that pack shards, and outlive a decoder that crashes on a damaged file.

Media decoders are C code fed with whatever a corpus holds. A worker that dies takes only itself along: the shards that
were in flight are done again one by one, which finds the utterance that crashes the worker; it is left out with that
reason. A worker that never finishes an utterance ends itself, and counts as crashed.
"""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from dual_hpc.errors import EnvironmentFault
from shards.fork_server import fork_context
from shards.job import ShardJob, pack_shard

_KEY_BYTES = 128
_LONGEST = 1800.0  # seconds for one utterance; ten minutes of large pictures take less on a slow core
_shared: Any = None  # in a worker: (number of utterances begun, key in flight, stop)


class _Stopped(Exception):
    """In a worker: the packer gives up, and the shard in flight with it."""


def run_jobs(jobs: Sequence[ShardJob], workers: int, tick: Callable[[int], None]) -> None:
    """Pack all jobs with `workers` processes; `tick` receives how many utterances were begun since its last call.

    Raises:
        OSError: the disk is full or cannot be written.
        EnvironmentFault: workers are killed again and again.
    """
    left = list(jobs)
    while left:
        unfinished, crashed = _pass(left, workers, tick, set())
        if crashed is None:
            return
        # Nothing tells which worker died; its shard may be any of the first unfinished ones.
        for job in unfinished[: workers + 1]:
            _alone(job, tick)
        left = unfinished[workers + 1 :]


def _alone(job: ShardJob, tick: Callable[[int], None]) -> None:
    """Pack one shard by itself, leaving out the utterances that crash the worker."""
    crashing_keys: set[str] = set()
    while True:
        unfinished, crashed = _pass([job], 1, tick, crashing_keys)
        if not unfinished:
            return
        if not crashed:
            raise EnvironmentFault("no worker can start: out of memory, or the calling script cannot be imported")
        if crashed in crashing_keys:
            raise EnvironmentFault(f"the worker that packs shard {job.number} was killed (out of memory?)")
        crashing_keys.add(crashed)


def _pass(
    jobs: list[ShardJob], workers: int, tick: Callable[[int], None], crashing_keys: set[str]
) -> tuple[list[ShardJob], str | None]:
    """Run jobs until done or until a worker dies: (jobs not finished, key last begun if one died)."""
    context = fork_context()
    begun, key = context.Value(ctypes.c_int64, 0), context.Array(ctypes.c_char, _KEY_BYTES + 1)
    stop = context.Value(ctypes.c_bool, False)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=((begun, key, stop),))
    seen = 0
    try:
        futures: dict[Future[None], ShardJob] = {pool.submit(_work, job, frozenset(crashing_keys)): job for job in jobs}
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            tick(begun.value - seen)
            seen = begun.value
            for future in done:
                future.result()
    except BrokenProcessPool:
        return [job for future, job in futures.items() if not future.done() or future.exception()], key.value.decode()
    except BaseException:
        stop.value = True  # else an interrupt waits for whole shards
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [], None


def _begin_worker(shared: Any) -> None:
    global _shared
    _shared = shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted as well, and ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A packer that is killed must not leave workers that continue without its lock."""
    packer = multiprocessing.parent_process()
    assert packer is not None, "runs in a worker"
    packer.join()
    os._exit(1)


def _work(job: ShardJob, crashing_keys: frozenset[str]) -> None:
    begun, key, stop = _shared

    def begins(name: str) -> None:
        if stop.value:
            raise _Stopped
        key.value = name.encode()
        with begun.get_lock():
            begun.value += 1
        # Its thread needs no interpreter lock, which a decoder may hold.
        faulthandler.dump_traceback_later(_LONGEST, exit=True, file=silence)

    with open(os.devnull, "w") as silence:
        try:
            pack_shard(job, begins, crashing_keys)
        finally:
            faulthandler.cancel_dump_traceback_later()
