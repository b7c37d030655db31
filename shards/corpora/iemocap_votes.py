"""What IEMOCAP's raters said one by one: the lines below each label line, `C-E2:` classes and `A-E2:` dimensions.

Raters are E1 to E6; F1 and M1 are the actors themselves. Several labels in one line are one rater's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_RATED = re.compile(r"^([CA])-([A-Z]\d{1,2}):\s*(.*?)\s*(\([^)]*\))?\s*$")
_DIMENSION = re.compile(r"^(val|act|dom)\s+(\d+(?:\.\d+)?)$")
_FIELDS = {"val": "valence", "act": "arousal", "dom": "dominance"}
_SPELLED = {  # in raters' lines -> as in the label of the utterance
    **{"neutral": "neu", "neutral state": "neu", "sadness": "sad", "anger": "ang", "happiness": "hap"},
    **{"excited": "exc", "frustration": "fru", "surprise": "sur", "fear": "fea", "disgust": "dis", "other": "oth"},
}


def votes_of(lines: Iterable[str]) -> tuple[list[dict[str, Any]], int]:
    """The votes of a block of lines, by rater in their order, and how many lines are of no rater or say nothing."""
    found: dict[str, dict[str, Any]] = {}
    unread = 0
    for line in lines:
        rated = _RATED.match(line.rstrip("\r"))
        given = _labels(rated[3]) if rated and rated[1] == "C" else _dimensions(rated[3]) if rated else {}
        if rated is None or not given:
            unread += bool(line.strip())
            continue
        vote = found.setdefault(rated[2], {"rater": rated[2], **({} if rated[2][0] == "E" else {"own": True})})
        for name, value in given.items():
            vote.setdefault(name, value)
    return list(found.values()), unread


def _labels(text: str) -> dict[str, Any]:
    """ "Neutral; Sadness;" -> the labels, each once; nothing where one is unknown."""
    words = [word.strip().lower() for word in text.split(";") if word.strip()]
    labels = [_SPELLED.get(word) for word in words]
    return {"labels": tuple(dict.fromkeys(labels))} if labels and None not in labels else {}


def _dimensions(text: str) -> dict[str, Any]:
    """ "val 3; act 2; dom  2;" -> the numbers; those that are empty are left out, as raters left them."""
    parts = [_DIMENSION.match(" ".join(part.split()).lower()) for part in text.split(";")]
    return {_FIELDS[part[1]]: float(part[2]) for part in parts if part and 1 <= float(part[2]) <= 5}
