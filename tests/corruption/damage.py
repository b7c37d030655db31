"""Ways in which a file can be wrong, whatever it holds: each takes a path and its own random numbers."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path, random.Random], None]
DEEP, HUGE = 100_000, 10**15


def flip_bits(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    for _ in range(rng.choice((1, 3, 30))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size or 1))


def zeros(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    begin = rng.randrange(len(data))
    end = rng.choice((len(data), min(len(data), begin + 64)))
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)


def empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def noise(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(rng.choice((1, 100, 5_000))))


def noise_behind(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(200))


def huge(path: Path, rng: random.Random) -> None:
    os.truncate(path, 10**12)


def no_text(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data) or 1) : 0] = rng.choice((b"\xff\xfe\xfa", b"\xed\xa0\x80", b"\0", b"\xc3"))
    path.write_bytes(data)


def control_characters(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    at = rng.randrange(len(data) or 1)
    path.write_bytes(data[:at] + "\x1b[31m\x07\r\u202e\u2028\x9b".encode() + data[at:])


def deep(path: Path, rng: random.Random) -> None:
    begin = rng.choice((b"[", b'{"a":', b"- ", b"{a: "))
    path.write_bytes(begin * DEEP)


def aliases(path: Path, rng: random.Random) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines) + "\n")


def json_value(path: Path, rng: random.Random) -> None:
    """Another value, or kind of value, somewhere in JSON, or in one line of JSON lines."""
    lines = path.read_text(errors="replace").splitlines()
    try:
        trees = [json.loads("\n".join(lines))]
    except ValueError:
        trees = []
        for line in lines:
            try:
                trees.append(json.loads(line))
            except ValueError:
                trees.append(line)
    chosen = rng.randrange(len(trees) or 1)
    if trees:
        trees[chosen] = _changed(trees[chosen], rng)
    path.write_text("\n".join(json.dumps(tree) for tree in trees) + "\n")


def _changed(tree: Any, rng: random.Random) -> Any:
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        key = rng.choice(list(tree))
        if rng.random() < 0.1:
            return {name: value for name, value in tree.items() if name != key}
        return {**tree, key: _changed(tree[key], rng)}
    if isinstance(tree, list) and tree and rng.random() < 0.8:
        at = rng.randrange(len(tree))
        return [*tree[:at], _changed(tree[at], rng), *tree[at + 1 :]]
    foreign: list[Any] = [None, True, -1, 0, 1.5, HUGE, -HUGE, 10**400, float("nan"), float("inf"), "", "x", "\ud800"]
    foreign += ["../../../etc/passwd", "a\0b", "\x1b[2J", "y" * 5_000, [], {}, [[[]]], {"a": {"b": 1}}, [1] * 1_000]
    return rng.choice(foreign)


def number_in_text(path: Path, rng: random.Random) -> None:
    """A digit somewhere becomes a number that no memory holds."""
    data = path.read_bytes()
    places = [at for at, byte in enumerate(data[:100_000]) if 48 <= byte <= 57] or [0]
    at = rng.choice(places)
    path.write_bytes(data[:at] + rng.choice((b"1000000000000000", b"-1", b"9" * 5_000, b"1e309")) + data[at + 1 :])


def size_in_header(path: Path, rng: random.Random) -> None:
    """Four or eight bytes near the beginning become a size of 1e15, or as large as they can."""
    data = bytearray(path.read_bytes().ljust(16, b"\0"))
    at = rng.randrange(min(len(data) - 8, 200))
    data[at : at + 8] = rng.choice((HUGE.to_bytes(8, "little"), HUGE.to_bytes(8, "big"), b"\xff" * 8, b"\x7f" * 8))
    path.write_bytes(data)


def _instead(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path, rng: random.Random) -> None:
        path.unlink()
        make(path)

    return damage


def link_out(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(rng.choice(("/dev/zero", "/dev/tty", "/dev/random", "/proc/self/mem", "/proc/kmsg", "/dev/stdin")))


def unreadable(path: Path, rng: random.Random) -> None:
    path.chmod(0)


def another_kind(path: Path, rng: random.Random) -> None:
    """A sibling's content, or a header of some other format."""
    others = sorted(other for other in path.parent.iterdir() if other.is_file() and other != path)
    heads = [b"\x89PNG\r\n\x1a\n", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"PK\x03\x04", b"SQLite format 3\0", b"\x1f\x8b"]
    heads += [b"\x80\x04cos\nsystem\n(S'true'\ntR.", b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/\n"]
    if others and rng.random() < 0.5:
        path.write_bytes(rng.choice(others).read_bytes())
    else:
        path.write_bytes(rng.choice(heads) + rng.randbytes(64))


DAMAGES: dict[str, Damage] = {
    "bits": flip_bits,
    "cut": cut,
    "zeros": zeros,
    "empty": empty,
    "noise": noise,
    "noise behind": noise_behind,
    "huge": huge,
    "no text": no_text,
    "control characters": control_characters,
    "deep": deep,
    "aliases": aliases,
    "json value": json_value,
    "number": number_in_text,
    "size": size_in_header,
    "pipe": _instead(os.mkfifo),
    "folder": _instead(Path.mkdir),
    "dangling link": _instead(lambda path: path.symlink_to("nothing")),
    "link loop": _instead(lambda path: path.symlink_to(path.name)),
    "missing": _instead(lambda path: None),
    "device": link_out,
    "unreadable": unreadable,
    "another kind": another_kind,
}
