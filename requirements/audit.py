"""`make audit`: the advisories known of what is installed by the files of pins, read by pip-audit.

0  the advisories of every package were read, and none is open
1  there are open advisories
3  advisories could not be read: nothing is known of those packages, which is not the same as nothing being wrong
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from requirements.pins import BUILD, LOCK, TOOLS, TORCH, Pin, normalized, read_pins

OPEN, UNREAD = 1, 3


@dataclass
class Audit:
    """What was found.

    Attributes:
        advisories: "package version: id, fixed in ..." lines.
        unread: package -> why its advisories are not known.
        read: packages whose advisories are known.
    """

    advisories: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    read: int = 0

    def add(self, pins: Mapping[str, Pin], report: Iterable[Mapping[str, Any]] | None, reason: str) -> None:
        """Add the report on a file of pins; a package that it does not mention is unread.

        Args:
            report: the entries of pip-audit's JSON; None where it gave none.
            reason: why an entry is missing.
        """
        entries = {normalized(str(one.get("name", ""))): one for one in report or ()}
        for name, pin in pins.items():
            entry = entries.get(name, {"skip_reason": reason})
            if "vulns" not in entry:
                said = str(entry.get("skip_reason", reason))
                self.unread[f"{pin.name} {pin.version}"] = said.removesuffix(f": {name} ({pin.version})")
                continue
            self.read += 1
            for one in entry["vulns"]:
                fixed = ", ".join(one.get("fix_versions", [])) or "no version"
                self.advisories.append(f"{pin.name} {pin.version}: {one['id']}, fixed in {fixed}")

    @property
    def exit_code(self) -> int:
        return OPEN if self.advisories else UNREAD if self.unread else 0

    def __str__(self) -> str:
        lines = [f"advisories of {self.read} packages were read, {len(self.advisories)} are open", *self.advisories]
        if self.unread:
            lines.append(f"ADVISORIES NOT READ of {len(self.unread)} packages, of which nothing is known:")
            reasons = dict.fromkeys(self.unread.values())
            for reason in reasons:
                names = [name for name, given in self.unread.items() if given == reason]
                lines.append(f"  {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}: {reason}")
        return "\n".join(lines)


def main() -> int:
    """The exit code."""
    audit = Audit()
    for file in (BUILD, LOCK, TORCH, TOOLS):
        report, reason = ask(file)
        audit.add(read_pins(file.read_text(encoding="utf-8")), report, reason)
    print(audit)
    return audit.exit_code


def ask(file: Path) -> tuple[list[dict[str, Any]] | None, str]:
    """The entries of pip-audit's report on a file of pins; None and the reason where it made none."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return list(json.loads(done.stdout)["dependencies"]), "pip-audit does not mention it"
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return None, f"pip-audit gave no report ({last[:150]})"


if __name__ == "__main__":
    sys.exit(main())
