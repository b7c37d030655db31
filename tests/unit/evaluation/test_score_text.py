"""One scale and one name of a score, wherever one is printed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from dual_hpc.evaluation.score_text import score_name, score_number, score_text

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("val/av/ua", 0.643, "UA {A,V} 64.3 %"),
        ("val/avt/wa", 1.0, "WA {A,V,T} 100.0 %"),
        ("val/a/weighted_f1", 0.0, "weighted F1 {A} 0.0 %"),
        ("val/av/mine", 2.5, "mine {A,V} 2.500"),  # of a plugin that is not loaded: nobody knows its scale
    ],
)
def test_a_score_is_percent_with_its_name(key: str, value: float, said: str) -> None:
    assert score_text(key, value) == said
    assert score_name(key) in said and score_number(key, value) in said and score_number(key, None) == ""


@pytest.mark.parametrize(("seen", "name"), [("a", "UA {A}"), ("av", "UA {A,V}"), ("at", "UA {A}"), ("t", "UA {A,V}")])
def test_a_score_is_named_by_what_was_there(seen: str, name: str) -> None:
    assert score_name("val/av/ua", seen) == name and score_text("val/av/ua", 0.5, seen) == f"{name} 50.0 %"


def test_no_command_formats_a_score_of_its_own() -> None:
    """What is printed of `ua` and the like goes through `score_text` or a metric's own format."""
    wrong = []
    for path in [*(ROOT / "launch").rglob("*.py"), *(ROOT / "dual_hpc" / "training").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                shown, form = ast.unparse(node.value), ast.unparse(node.format_spec)
                if re.search(r"\b(ua|wa|ua_av|ua_avt|test_ua|best|score)\b", shown) and re.search(r"\.[34][fg]", form):
                    wrong.append(f"{path.name}: {shown}")
    assert wrong == []
