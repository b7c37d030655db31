"""What a failing rank records as its error: one line, and in our words where the library's name no cause."""

from __future__ import annotations

import re

from dual_hpc.errors import DualError, one_line
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
    if isinstance(error, RuntimeError | OSError) and _PEER_GONE.search(message):
        return f"{LOST_PEER}: it has ended, or its network failed ({message[:200]})"
    return message
