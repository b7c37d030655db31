"""The process that workers are forked from.

It loads the decoders once: sixty workers that each load them from a parallel file system would cost more than many a
corpus. This module itself is light, so that a command starts the server first and loads its own part meanwhile.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext


def fork_context() -> ForkServerContext | SpawnContext:
    """Start the server if it does not run; how workers are started: from it, or each by itself where it cannot be."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["shards.job"])
    try:
        forkserver.ensure_running()
    except OSError:  # its socket: the folder of temporary files has too long a name, or takes none
        return multiprocessing.get_context("spawn")
    return context
