"""The two kinds of failure a user meets, and the exit code of each.

A `UserError` is the user's to fix and says which setting, file or argument to change. An `EnvironmentFault` is the
machine's: a full disk, a lost node, a store that cannot be written. Both are one line, printable whatever they
quote, without passwords, and without advice of libraries to turn a protection off; the trace goes to the log.
"""

from __future__ import annotations

from dual_hpc.credentials import without_secrets
from dual_hpc.printable import printable
from dual_hpc.unsafe_advice import without_unsafe_advice


def one_line(text: object, limit: int | None = None) -> str:
    """An error, or what another program says, as one printable line; at most `limit` characters of it."""
    return printable(without_secrets(without_unsafe_advice(str(text))), limit)


class DualError(Exception):
    """Base of the errors that are shown as one line instead of a traceback."""

    exit_code = 1

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(one_line(one) if isinstance(one, str) else one for one in arguments))


class UserError(DualError, ValueError):
    """Something the user can change: the message names the setting and what to write there."""

    exit_code = 2


class EnvironmentFault(DualError, RuntimeError):
    """Something outside the user's command failed: disk, network, node, missing program."""

    exit_code = 1


def reason_of(error: Exception, limit: int = 200) -> str:
    """An error in one line: our own as they were written, which say what to do at their end; others cut at `limit`."""
    return one_line(error, None if isinstance(error, DualError) else limit) or type(error).__name__
