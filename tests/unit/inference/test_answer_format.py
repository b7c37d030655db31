"""Answers as CSV lose nothing that JSON lines have, but how the clip was prepared."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from dual_hpc.inference.answer_format import AnswerWriter

ANSWER: dict[str, Any] = {
    "input": "a.wav",
    "label": "sad",
    "probabilities": {"sad": 0.712345, "joy": 0.287655},
    "modalities": ["audio"],
    "duration": 1.0,
    "warnings": [],
    "preparation": {"audio": "downmix"},
    "start": 0.0,
    "end": 1.0,
}


def rows(*records: dict[str, Any]) -> list[dict[str, str]]:
    out = io.StringIO()
    writer = AnswerWriter(out, "csv", ("sad", "joy"), ("valence",))
    for record in records:
        writer.write(record)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_a_row_says_how_sure_the_answer_is() -> None:
    first, second, third = rows(
        {**ANSWER, "confidence": 0.61234, "unsure": True}, {**ANSWER, "confidence": 0.9, "unsure": False}, ANSWER
    )
    assert [(one["confidence"], one["unsure"]) for one in (first, second, third)] == [
        ("0.6123", "true"),
        ("0.9000", "false"),
        ("", ""),
    ]
    assert first["sad"] == "0.7123" and first["label"] == "sad" and first["more"] == ""


def test_a_row_has_the_dimensions_of_the_model() -> None:
    (row,) = rows({**ANSWER, "dimensions": {"valence": -1.25}})
    assert row["valence"] == "-1.2500" and row["more"] == ""


@pytest.mark.parametrize("further", [{"error": "b.wav: is empty"}, {}])
def test_what_a_line_of_the_manifest_carries_comes_back(further: dict[str, str]) -> None:
    row, other = rows({"number": 3, "who": {"Ünal": [1]}, **ANSWER, **further}, ANSWER)
    assert json.loads(row["more"]) == {"number": 3, "who": {"Ünal": [1]}} and other["more"] == ""
    assert row["error"] == further.get("error", "")
