"""What a failing rank records as its error: one line, and in our words where the library's name no cause."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from dual_hpc.errors import DualError, one_line
from dual_hpc.files.real_path import real_path
from launch.records.failures import LOST_PEER

# What gloo and NCCL say in the ranks that go on when another one has ended.
_PEER_GONE = re.compile(
    r"connection (closed|reset) by peer|broken pipe|connection refused|remote process exited|peer (is )?gone"
    r"|socket (closed|timeout)|NCCL (communicator was aborted|error.*(remote|system))|gloo.*timed? ?out",
    re.IGNORECASE,
)


def failure_message(error: BaseException) -> str:
    """One line.

    A lost connection is a consequence: the message says so, so that nobody looks for its cause in the network first.
    """
    if isinstance(error, DualError):
        return one_line(error)
    message = one_line(f"{type(error).__name__}: {error}")
    if isinstance(error, RuntimeError) and "does not have a deterministic implementation" in message:
        return f"training.deterministic: a part of the model has no such algorithm; set it to false ({message[:200]})"
    if isinstance(error, RuntimeError | OSError) and _PEER_GONE.search(message):
        return f"{LOST_PEER}: it has ended, or its network failed ({message[:200]})"
    return message


def full_of_this_node(error: BaseException, run: Path) -> str | None:
    """What was full where it is this node's alone, and not the store: "/tmp/x: No space left on device"; else None.

    Libraries put what they compile, and what processes share, into TMPDIR and /dev/shm.
    """
    cause: BaseException | None = error
    seen = 0
    while cause is not None and seen < 20:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT) and cause.filename is not None:
            path = Path(os.fsdecode(cause.filename))
            return f"{path}: {cause.strerror}" if _is_of_this_node(path, run) else None
        cause, seen = cause.__cause__ or cause.__context__, seen + 1
    return None


def _is_of_this_node(path: Path, run: Path) -> bool:
    """True below a folder for temporary files that is on another file system than the run."""
    named = (os.environ.get(name, "") for name in ("SLURM_TMPDIR", "JOBSCRATCH", "TMPDIR"))
    folders = [real_path(name) for name in (*named, "/tmp", "/var/tmp", "/dev/shm") if name]
    there = next((parent for parent in real_path(path).parents if parent.exists()), Path("/"))
    return any(there.is_relative_to(folder) for folder in folders) and there.stat().st_dev != run.stat().st_dev
