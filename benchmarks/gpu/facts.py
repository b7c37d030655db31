"""A fact is a line of JSON, written at once: a part that its limit ends loses none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ON_GPU = os.environ.get("DEVICE", "cuda") == "cuda"


class Facts:
    """Appends to a file, and prints the same."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)

    def add(self, what: str, value: Any, unit: str = "", **more: Any) -> None:
        """One line: what was found, its value (a number, a text or a bool) and unit."""
        line = json.dumps({"what": what, "value": value, "unit": unit, **more}, ensure_ascii=False)
        print(line, flush=True)
        with open(self._file, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def read(file: Path) -> list[dict[str, Any]]:
    """The facts of a file, without a line that was cut off; none where it is not there."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
