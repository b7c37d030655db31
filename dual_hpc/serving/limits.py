"""What one client, and all of them together, may cost the server."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dual_hpc.errors import UserError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(k|m|g|ki|mi|gi|)b?", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
        upload: bytes of a recording.
        seconds: from a request's first byte to its answer; waiting for other answers is part of it.
        requests: that are received, wait or are answered at the same time; so many uploads lie on the disk at most.
        idle: seconds in which a client must send something while it uploads.
        form: bytes that a form may have besides the recording.
        text: characters of all options together.
        linger: seconds for which the rest of a refused upload is read and thrown away, so that its client, which may
            not listen before it has sent everything, gets to read the refusal.
    """

    upload: int = 500 * 10**6
    seconds: float = 600.0
    requests: int = 4
    idle: float = 30.0
    form: int = 1 << 20
    text: int = 1 << 16
    linger: float = 20.0


def parse_size(text: str) -> int:
    """Bytes of "500MB", "2 GiB" or "1000".

    Raises:
        UserError: it is no size, or none at all.
    """
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    if size < 1:
        raise UserError(f"--max-upload: {text!r} is not a size such as 500MB or 2GiB")
    return size


def size_text(count: int) -> str:
    """Bytes as people read them."""
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= length:
            return f"{count / length:.3g} {unit}"
    return f"{count} bytes"
