"""The test's scores of a run, where `dual-hpc evaluate` has written them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import read_bytes

REPORT = "test_best.json"  # what `dual-hpc evaluate RUN` writes


def read_test_scores(reports: Path) -> dict[str, dict[str, float]]:
    """By subset of the modalities ("av"), each metric; empty where there is no (readable) report."""
    try:
        return {
            subset: {metric: value for metric, value in scores.items() if isinstance(value, float)}
            for subset, scores in _subsets(reports).items()
        }
    except (TypeError, AttributeError):
        return {}


def read_test_interval(reports: Path, subset: str, metric: str) -> tuple[float, float] | None:
    """The bounds of a score's 95 % interval; None where the report has none."""
    try:
        low, high = _subsets(reports)[subset]["interval"][metric]
        return float(low), float(high)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _subsets(reports: Path) -> Any:
    try:
        return parse_json(read_bytes(reports / REPORT))["subsets"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
