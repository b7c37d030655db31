"""Lengths of time as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """ "45 s", "12 min", "5 h" or "3 d": two digits at most, so that nothing looks more exact than it is."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
