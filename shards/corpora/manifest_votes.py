"""The raters' answers in a row of a manifest."""

from __future__ import annotations

import math
from typing import Any

DIMENSIONS = ("valence", "arousal", "dominance")
_MOST = 1000  # raters of an utterance


def votes_of(value: Any) -> list[dict[str, Any]]:
    """The votes of a cell, each with a rater, `r1`, `r2` ... where it names none.

    Raises:
        ValueError: why it is none.
    """
    if value is None or value == "":
        return []
    answers = value.split(";") if isinstance(value, str) else value
    if not isinstance(answers, list) or len(answers) > _MOST:
        raise ValueError(f"is not a list of at most {_MOST} raters' answers")
    found = []
    for number, answer in enumerate((one for one in answers if not (isinstance(one, str) and not one.strip())), 1):
        given = answer if isinstance(answer, dict) else {"labels": answer}
        if unknown := set(given) - {"rater", "labels", *DIMENSIONS}:
            raise ValueError(f"unknown key {str(min(unknown, key=str))[:40]!r}")
        rater = given.get("rater", f"r{number}")
        if not isinstance(rater, str | int) or isinstance(rater, bool):
            raise ValueError("rater is not a name")
        numbers = {name: _number(given[name], name) for name in DIMENSIONS if given.get(name) is not None}
        found.append({"rater": str(rater)[:64], "labels": _labels(given.get("labels", [])), **numbers})
    if len({vote["rater"] for vote in found}) != len(found):
        raise ValueError("a rater answers twice")
    return found


def _labels(value: Any) -> tuple[str, ...]:
    labels = value.split("+") if isinstance(value, str) else value
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("labels are not a list of labels")
    return tuple(dict.fromkeys(label.strip().lower()[:100] for label in labels if label.strip()))


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is not a number")
    return float(value)
