"""The two kinds of failure a user meets, and the exit code of each.

A `UserError` is the user's to fix and says which setting, file or argument to change. An `EnvironmentFault` is the
machine's: a full disk, a lost node, a store that cannot be written. Both are one line; the trace goes to the log.
"""

from __future__ import annotations


def one_line(text: object, limit: int | None = None) -> str:
    """An error, or another text, with every run of white space as one blank; at most `limit` characters of it."""
    return " ".join(str(text).split())[:limit]


class DualError(Exception):
    """Base of the errors that are shown as one line instead of a traceback."""

    exit_code = 1


class UserError(DualError, ValueError):
    """Something the user can change: the message names the setting and what to write there."""

    exit_code = 2


class EnvironmentFault(DualError, RuntimeError):
    """Something outside the user's command failed: disk, network, node, missing program."""

    exit_code = 1
