"""Slurm's lists of nodes: "n[1-3,7],login" is n1, n2, n3, n7 and login. Pure."""

from __future__ import annotations

import re

_LARGEST = 1 << 16  # nodes of one list; more is a mistake, or somebody's joke


def expand_hosts(text: str) -> list[str]:
    """The nodes that a list names, in its order; of what is no such list, what can be made of it.

    Several brackets in one name are expanded from left to right, as Slurm does: "r[1-2]n[1-2]".
    """
    found: list[str] = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        found += _expand(part.strip())
        if len(found) > _LARGEST:
            return found[:_LARGEST]
    return [name for name in found if name and name != "(null)"]


def _expand(part: str) -> list[str]:
    bracket = re.search(r"\[([^\]]*)\]", part)
    if bracket is None:
        return [part]
    before, rest = part[: bracket.start()], _expand(part[bracket.end() :])
    names = []
    for item in bracket[1].split(","):
        first, dash, last = item.partition("-")
        if not dash:
            numbers = [first]
        elif first.isdecimal() and last.isdecimal() and int(last) - int(first) < _LARGEST:
            numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
        else:
            numbers = [item]
        names += [f"{before}{number}{end}" for number in numbers for end in rest]
    return names
