"""IEMOCAP: the two usual selections of its labels; each of the five sessions is held out once."""

from __future__ import annotations

from dual_hpc.evaluation.protocols.protocol import define

_SESSIONS = (1, 2, 3, 4, 5)

IEMOCAP4 = define(
    "iemocap4",
    "iemocap",
    {"angry": ("ang",), "happy": ("hap", "exc"), "neutral": ("neu",), "sad": ("sad",)},
    folds=_SESSIONS,
)
IEMOCAP6 = define(
    "iemocap6",
    "iemocap",
    {
        "happy": ("hap",),
        "sad": ("sad",),
        "neutral": ("neu",),
        "angry": ("ang",),
        "excited": ("exc",),
        "frustrated": ("fru",),
    },
    folds=_SESSIONS,
)
