"""The documentation names what exists: modules of the API pages, files that are linked, settings and verbs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dual_hpc.config.reference import settings
from launch.cli.main import ALIASES, VERBS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
KEYS = {one.key for one in settings()}
SECTIONS = {key.split(".")[0] for key in KEYS if "." in key}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_module(name: str) -> bool:
    place = ROOT / name.replace(".", "/")
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_documented_modules_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"^::: (\S+)", text, re.M) + re.findall(
        r"^from (dual_hpc\S*|launch\S*|shards\S*) import", text, re.M
    )
    missing = [name for name in named if not is_module(name)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    made = {"contributing.md", "changelog.md"}  # by docs/root_pages.py
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert Path(target).name in made or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"(?<![\w./])([a-z]+(?:\.[a-z_]+)+)=", page.read_text(encoding="utf-8"))
    wrong = [key for key in named if key.split(".")[0] in SECTIONS and key not in KEYS]
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_shown_exist(page: Path) -> None:
    shown = re.findall(r"(?:^|`)dual-hpc ([a-z]+)", page.read_text(encoding="utf-8"), re.M)
    assert set(shown) <= {*VERBS, *ALIASES}
