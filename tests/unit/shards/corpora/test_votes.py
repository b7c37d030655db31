"""What single raters said: IEMOCAP's lines below each label, and the column of a manifest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.corpora import manifest
from shards.corpora.iemocap_votes import votes_of
from shards.corpora.manifest_votes import votes_of as cell_votes

BLOCK = """C-E2:\tNeutral;\t()
C-E3:\tNeutral state; Sadness;\t(a sigh)
C-F1:\tExcited;\t()
A-E2:\tval 3; act 2; dom  2;\t()
A-E3:\tval 2; act ; dom  3;\t(mad)
A-F1:\tval 3; act 2; dom  1;\t()"""


def test_every_rater_s_classes_and_dimensions_are_kept_together() -> None:
    found, unread = votes_of(BLOCK.split("\n"))
    assert unread == 0 and found == [
        {"rater": "E2", "labels": ("neu",), "valence": 3.0, "arousal": 2.0, "dominance": 2.0},
        {"rater": "E3", "labels": ("neu", "sad"), "valence": 2.0, "dominance": 3.0},
        {"rater": "F1", "own": True, "labels": ("exc",), "valence": 3.0, "arousal": 2.0, "dominance": 1.0},
    ]


@pytest.mark.parametrize(
    "line",
    ["C-E2:\t;\t()", "C-E2:\tJoyful;\t()", "A-E2:\tval 9; act 0;\t()", "C-2:\tNeutral;", "X", "C-E2 Neutral", "A-E2:"],
)
def test_a_line_that_says_nothing_is_counted(line: str) -> None:
    assert votes_of([line]) == ([], 1)


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("angry; angry; sad+Angry", [("angry",), ("angry",), ("sad", "angry")]),
        (["angry", ["sad", "angry"]], [("angry",), ("sad", "angry")]),
        ([{"rater": "w1", "labels": "sad", "valence": 2}], [("sad",)]),
        ("", []),
        (None, []),
    ],
)
def test_the_votes_of_a_manifest(cell: Any, labels: list[tuple[str, ...]]) -> None:
    assert [vote["labels"] for vote in cell_votes(cell)] == labels


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (7, "not a list"),
        ([7], "not a list of labels"),
        ([{"who": "x"}], "unknown key 'who'"),
        ([{"rater": "a"}, {"rater": "a"}], "a rater answers twice"),
        ([{"valence": "high"}], "valence is not a number"),
        ([{"valence": True}], "valence is not a number"),
        ([{"rater": [1]}], "rater is not a name"),
        ([[["x"]]], "not a list of labels"),
    ],
)
def test_a_row_whose_votes_cannot_be_read_is_left_out_with_its_line(
    tmp_path: Path, put: Callable[[str, Path], Path], cell: Any, reason: str
) -> None:
    put("tone.wav", tmp_path / "a.wav")
    rows = [{"audio": "a.wav", "label": "x", "id": "one", "votes": cell}, {"audio": "a.wav", "label": "y", "id": "two"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    plan = manifest.read(tmp_path / "m.jsonl")
    assert [one.key for one in plan.utterances] == ["two"] and reason in plan.skips[0].reason
    assert plan.skips[0].where == "m.jsonl:1"
