"""The test's scores of a run, where `dual-hpc evaluate` has written them."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import read_bytes

REPORT = "test_best.json"  # what `dual-hpc evaluate RUN` writes


def read_test_scores(reports: Path) -> dict[str, dict[str, float]]:
    """By subset of the modalities ("av"), each metric; empty where there is no (readable) report."""
    try:
        subsets = parse_json(read_bytes(reports / REPORT))["subsets"]
        return {
            subset: {metric: value for metric, value in scores.items() if isinstance(value, float)}
            for subset, scores in subsets.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
