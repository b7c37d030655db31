"""The preloaded library `shim.c` seen from Python, and which fault strikes at which call."""

from __future__ import annotations

import ctypes
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CODES = {"ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "EIO": errno.EIO, "short": 0}


class Shim:
    """The preloaded library."""

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)
        self._library.fault_failed.restype = ctypes.c_char_p
        self._library.fault_calls.restype = ctypes.c_long

    def arm(self, below: Path, at: int, kind: str, lasting: bool) -> None:
        """Let call `at` (0: none) below a folder fail, and with `lasting` all later ones."""
        self._library.fault_arm(os.fsencode(below), ctypes.c_long(at), CODES[kind], int(lasting))

    def disarm(self) -> tuple[int, str]:
        """How many calls there were, and which one failed ("" if none did)."""
        found = self._library.fault_calls(), self._library.fault_failed().decode()
        self._library.fault_arm(b"", ctypes.c_long(0), 0, 0)
        return found


def strikes(calls: int, every: int, which: str) -> Iterator[tuple[int, str, bool]]:
    """(call, kind of fault, whether it stays) for every EVERY-th call: one kind in turn, or "all" of them at each.

    Each kind strikes once, or from that call on.
    """
    kinds = [(kind, lasting) for kind in CODES for lasting in (False, True)]
    for number, at in enumerate(range(1, calls + 1, every)):
        for kind, lasting in kinds if which == "all" else [kinds[number % len(kinds)]]:
            yield at, kind, lasting


def in_child(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `act` returns, in a forked child, so that no case sees the memory of another."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            json.dump(act(), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as found:
        text = found.read()
    os.waitpid(child, 0)
    return dict(json.loads(text)) if text else {"problems": ["the process died"]}
