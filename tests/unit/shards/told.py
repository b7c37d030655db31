"""What a report says, sentence by sentence, so that tests can hold each to what was counted otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def sentences(markdown: str) -> list[str]:
    """The bullets of a report, those of its options left out."""
    body = markdown.partition("\n## Options\n")[0]
    return [line.removeprefix("- ").replace("&lt;", "<") for line in body.splitlines() if line.startswith("- ")]


def table(markdown: str, heading: str) -> dict[str, str]:
    """The rows of the two-column table below a heading: first cell -> second."""
    body = markdown.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    rows = (line.strip("| ").split(" | ", 1) for line in body.splitlines() if line.startswith("| "))
    return {row[0]: row[1] for row in rows if row[0] not in ("where", "sample")}


def hold(said: list[str], truth: Mapping[str, object]) -> None:
    """Each sentence matches one of the patterns, and none is missing.

    Args:
        truth: pattern -> its groups, as text or numbers in order; None: it must not be said. A sentence that no pattern
            knows is one that nobody holds to the truth.
    """
    unknown = [one for one in said if not any(re.fullmatch(pattern, one) for pattern in truth)]
    assert unknown == [], unknown
    for pattern, expected in truth.items():
        found = [match.groups() for one in said if (match := re.fullmatch(pattern, one))]
        wanted = [] if expected is None else [tuple(map(str, expected if isinstance(expected, tuple) else (expected,)))]
        assert found == wanted, (pattern, found, wanted)


def report_of(folder: Path) -> str:
    """The Markdown of a folder of shards."""
    return (folder / "report.md").read_text()
