"""The reference of all settings: whole, and current."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.config import RunConfig, load_config
from dual_hpc.config.reference import listing, page, settings

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_in_the_documentation_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m dual_hpc.config.reference > docs/settings.md"


def test_every_line_is_an_override_that_changes_nothing() -> None:
    found = list(settings())
    assert load_config(None, [f"{one.key}={one.default}" for one in found]) == load_config(None)
    leaves = 0
    waiting: list[object] = [RunConfig().model_dump()]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict) and node:
            waiting += node.values()
        else:
            leaves += 1
    assert len(found) == leaves


def test_choices_and_bounds_are_named() -> None:
    lines = dict(line.split("  ", 1) for line in listing().splitlines() if "  " in line)
    assert "iemocap4, iemocap6, meld7, all" in lines["data.protocol=iemocap4"]
    assert ">= 1" in lines["data.test_fold=5"]
