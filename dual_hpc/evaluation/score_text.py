"""Scores as people read them: one scale (percent) and one name (metric and modalities), wherever one is printed.

Files and --json hold shares of one.
"""

from __future__ import annotations

from dual_hpc.evaluation.metrics import METRICS
from dual_hpc.evaluation.tables import subset_name
from dual_hpc.modality import ALL_MODALITIES

FIRST_KEY = "val/av/ua"  # what selects where a journal does not say it: those of earlier versions do not
VALIDATION_KEYS = (FIRST_KEY, "val/avt/ua")


def score_name(key: str, seen: str = ALL_MODALITIES) -> str:
    """A metric of the journal, "val/av/ua" -> "UA {A,V}", or "UA {A}" where nothing but sound was `seen`."""
    _, subset, metric = key.split("/")
    subset = "".join(letter for letter in subset if letter in seen) or subset
    return f"{METRICS.get(metric).title if metric in METRICS else metric} {subset_name(subset)}"


def score_number(key: str, value: float | None) -> str:
    """The value, "64.3" for the share 0.643; empty for None. As it is where the metric is no share, or a plugin's."""
    name = key.rsplit("/", 1)[-1]
    if value is None:
        return ""
    return METRICS.get(name).format(value) if name in METRICS else f"{value:.3f}"


def score_text(key: str, value: float, seen: str = ALL_MODALITIES) -> str:
    """Name and value, "UA {A,V} 64.3 %"; `seen` as for `score_name`."""
    name = key.rsplit("/", 1)[-1]
    sign = " %" if name in METRICS and METRICS.get(name).percent else ""
    return f"{score_name(key, seen)} {score_number(key, value)}{sign}"
