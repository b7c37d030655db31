"""Keys of random streams: what is drawn depends on (data set, seed, epoch, sample) and on nothing else (contract 3)."""

from __future__ import annotations

import hashlib


def key_of(*parts: str | int) -> int:
    """A 64-bit key from the parts; different parts, or another order of them, give another key."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
