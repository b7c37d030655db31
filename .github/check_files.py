"""Refuse files that a commit should not hold: `python .github/check_files.py FILE ...`.

Files above 1 MB are data; a YAML, TOML or JSON file that cannot be read breaks something later and elsewhere.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import yaml

LARGEST = 1_000_000  # bytes


def problem(path: Path) -> str | None:
    """What is wrong with a file; None if nothing is."""
    if not path.is_file():
        return None
    if (size := path.stat().st_size) > LARGEST:
        return f"{size / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f}: keep data outside the repository"
    read = _readers().get(path.suffix)
    if read is None:
        return None
    try:
        read(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        return " ".join(str(error).split())
    return None


def _readers() -> dict[str, Callable[[str], object]]:
    readers: dict[str, Callable[[str], object]] = {suffix: yaml.safe_load for suffix in (".yaml", ".yml", ".cff")}
    readers |= {".json": json.loads, ".ipynb": json.loads}
    return {**readers, ".toml": tomllib.loads}


def main(names: list[str]) -> int:
    """The exit code: 1 if any file is refused."""
    refused = [(name, reason) for name in names if (reason := problem(Path(name))) is not None]
    for name, reason in refused:
        print(f"{name}: {reason}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
