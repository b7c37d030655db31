"""What a report says of corpora, groups of speakers, confidence and votes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dual_hpc.data.format.sample import Utterance
from dual_hpc.evaluation.prediction_file import read_predictions, write_predictions
from dual_hpc.evaluation.prediction_set import PredictionSet, result_of
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.report import markdown

CLASSES = ("angry", "sad")


def predictions(votes: bool = True) -> PredictionSet:
    """Eight utterances of two corpora; women are understood, men are not."""
    utterances, rows, truth = {}, [], []
    for n in range(8):
        gender = ("female", "male")[n % 2]
        key = f"u{n}"
        utterances[key] = Utterance(
            key=key,
            corpus=("iemocap", "meld")[n // 4],
            dialogue=f"d{n // 2}",
            utterance=n,
            speaker=f"s{n}",
            duration=1.0,
            attributes={"gender": gender},
        )
        truth.append(n // 2 % 2)
        right = [0.9, 0.1] if truth[-1] == 0 else [0.1, 0.9]
        rows.append(right if gender == "female" else right[::-1])
    found = Predictions(list(utterances), np.array(truth), np.array(rows, np.float32))
    about = {
        "run": "r",
        "protocol": "both",
        "split": "test",
        "reads": "av",
        "shared": "2 speakers are in both",
    }
    known = {"u0": [0.75, 0.25], "u1": [1.0, 0.0]} if votes else {}
    return PredictionSet(about, CLASSES, [4, 4], utterances, {"av": found}, ["av"], votes=known)


def test_scores_stand_per_corpus_over_all_and_per_gender() -> None:
    result = result_of(predictions())
    groups = result.subsets["av"].groups
    assert {name: one.values["ua"] for name, one in groups["gender"].items()} == {"female": 1.0, "male": 0.0}
    assert {name: one.count for name, one in groups["corpus"].items()} == {"iemocap": 4, "meld": 4}
    told = markdown(result)
    assert "## Gender of the speaker" in told and "| female | 4 | 100.0 |" in told and "| meld | 4 | 50.0 |" in told
    assert "2 speakers are in both" in told


def test_confidence_and_votes_have_a_table_and_stand_in_the_json() -> None:
    result = result_of(predictions())
    told, content = markdown(result), json.loads(json.dumps(result.to_json()))["subsets"]["av"]
    assert "## Confidence" in told and content["calibration"]["ece"] > 0.3
    assert content["votes"]["count"] == 2 and 0 < content["votes"]["jsd"] < 1
    assert "## Votes of the raters" in told and "the label alone" in told


def test_a_corpus_without_votes_and_of_one_group_has_no_such_tables() -> None:
    made = predictions(votes=False)
    one = {key: meta.model_copy(update={"corpus": "x", "attributes": None}) for key, meta in made.utterances.items()}
    result = result_of(PredictionSet(**{**vars(made), "utterances": one}))
    told = markdown(result)
    assert "Votes" not in told and "## Corpora" not in told and "Gender" not in told
    assert result.subsets["av"].groups == {} and "votes" not in result.to_json()["subsets"]["av"]


def test_all_of_it_follows_from_the_file_of_predictions(tmp_path: Path) -> None:
    made = predictions()
    write_predictions(tmp_path / "x_predictions.jsonl", made)
    again = result_of(read_predictions(tmp_path / "x_predictions.jsonl"))
    assert again.to_json() == result_of(made).to_json()
