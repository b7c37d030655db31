"""Counts of releases beside those of lists that others publish (`published/counts.json` names them)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config.schema import DataConfig
from dual_hpc.evaluation.protocols import protocol_of
from shards.corpora import CORPORA
from shards.corpora.clip_table import CH_SIMS2, CMU_MOSEI
from shards.corpora.mead import EMOTIONS
from tests.unit.evaluation.protocols_corpus import utterance

PAGE = Path(__file__).parents[4] / "docs" / "corpora.md"
OTHERS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "published" / "counts.json").read_text())


def test_the_parts_of_cmu_mosei_are_those_of_the_standard_folds_less_four_clips() -> None:
    found = OTHERS["cmu_mosei"]["labels_by_standard_fold"]
    assert CMU_MOSEI.published["train"] == OTHERS["cmu_mosei"]["mmsa_train"]
    less = {part: found[part] - count for part, count in CMU_MOSEI.published.items()}
    assert less == {"train": 1, "dev": 0, "test": 3}


def test_the_training_part_of_ch_sims_2_is_that_of_mmsa() -> None:
    assert CH_SIMS2.published["train"] == OTHERS["ch_sims2"]["mmsa_train"]


def test_the_four_classes_of_msp_improv_have_the_count_that_others_evaluate_on() -> None:
    published = CORPORA.get("msp_improv").published
    four = sum(published[f"label {name}"] for name in ("angry", "happy", "sad", "neutral"))
    assert four == OTHERS["msp_improv"]["four_classes"]
    assert four < OTHERS["msp_improv"]["turns_with_a_vote"] < published["utterances"]


@pytest.mark.parametrize("fold", range(1, 7))
def test_the_sessions_of_emo_superb_s_partitions_of_msp_improv(fold: int) -> None:
    found = OTHERS["msp_improv"]
    test, validation = (found[name][str(fold)] for name in ("session_that_tests", "session_that_validates"))
    utterances = [
        utterance(
            n, corpus="msp_improv", session=1 + n % 6, speaker=f"F{1 + n % 6}", label=("happy", "sad")[n // 6 % 2]
        )
        for n in range(24)
    ]
    data = DataConfig(protocol="msp-improv4-emosuperb", test_fold=fold)
    parts = protocol_of(data, utterances).split(utterances, data)
    sessions = {name: {utterances[number].session for number in numbers} for name, numbers in parts.items()}
    assert sessions == {"test": {test}, "validation": {validation}, "train": {*range(1, 7)} - {test, validation}}


def test_the_labels_of_mead_are_those_that_others_find() -> None:
    assert set(OTHERS["mead"]["labels"]) == set(EMOTIONS)


@pytest.mark.parametrize("corpus", ["mead", "msp_podcast"])
def test_the_page_says_what_others_count_where_a_release_is_not_compared_when_packed(corpus: str) -> None:
    (row,) = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{corpus}`")]
    assert f"{sum(OTHERS[corpus]['labels'].values()):,}" in row and not CORPORA.get(corpus).published
