"""What a corpus leaves open is told with the setting that answers it, and that setting does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config import load_config
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import protocol_of
from dual_hpc.evaluation.protocols.advice import absent_modalities, advice, speaker_advice, split_advice


def utterances(*rows: dict[str, Any]) -> list[Utterance]:
    fixed = {"corpus": "mine", "utterance": 0, "duration": 1.0, "label": "a", "speaker": "unknown"}
    return [Utterance(**{**fixed, "key": f"u{n}", "dialogue": f"u{n}", **row}) for n, row in enumerate(rows)]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "split": st.sampled_from([None, "train", "dev", "TEST", "holdout"]),
                "session": st.sampled_from([None, 1, 5]),
                "label": st.sampled_from(["a", "b", None]),
                "speaker": st.sampled_from(["unknown", "x", "y", "z"]),
            }
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_corpus_that_cannot_be_divided_as_it_is_gets_a_setting_that_can(rows: list[dict[str, Any]]) -> None:
    found = utterances(*rows)
    as_it_is = load_config("own").data
    labelled = [one for one in found if one.label is not None]
    told = split_advice(found)
    try:
        protocol_of(as_it_is, found).split(found, as_it_is)
    except UserError as error:
        if "neither a split nor a session" in str(error) or "use train, dev or test" in str(error):
            assert told
    if any(one.split is None and one.session is None for one in labelled):
        setting = told[-1].rpartition("set ")[2]
        data = load_config("own", [setting]).data
        try:
            assert protocol_of(data, found).split(found, data)["train"]
        except UserError as error:  # of fewer than three groups no setting makes three parts
            assert "are needed" in str(error)


@pytest.mark.parametrize(
    ("speakers", "dialogues", "column"),
    [("xyz", "abc", "speaker"), ("xyy", "abc", "dialogue"), ("xxx", "aab", "utterance"), ("xyz?", "abcd", "dialogue")],
)
def test_speakers_are_kept_apart_where_all_are_known(speakers: str, dialogues: str, column: str) -> None:
    rows = [
        {"speaker": "unknown" if speaker == "?" else speaker, "dialogue": dialogue}
        for speaker, dialogue in zip(speakers, dialogues, strict=True)
    ]
    assert split_advice(utterances(*rows)) == [
        f"no sample has a split or a session: to train on them set data.split={{{column}: [0.7, 0.15, 0.15]}}"
    ]


@pytest.mark.parametrize(
    ("rows", "begins"),
    [
        ([{}, {}], "no sample names its speaker: "),
        ([{"speaker": "x"}, {}, {}], "2 samples name no speaker: "),
        ([{"speaker": "x"}, {"speaker": "y"}], None),
        ([{"split": "train"}, {"split": "test"}], None),  # who made these parts knew who speaks
    ],
)
def test_that_a_speaker_may_be_in_two_parts_is_told(rows: list[dict[str, Any]], begins: str | None) -> None:
    found = speaker_advice(utterances(*rows))
    assert [line.startswith(begins or "") for line in found] == [True] * (begins is not None)
    assert all(line in advice(utterances(*rows)) and "add a column speaker" in line for line in found)


def test_what_no_utterance_has_is_named_and_what_one_has_is_not() -> None:
    found = utterances({"has_video": False, "has_text": False, "split": "dev"}, {"has_video": False, "split": "train"})
    assert [str(one) for one in absent_modalities(found)] == ["video"]
    assert advice(found) == ["no sample has video: set model.use_video=false"]


def test_a_split_that_is_not_known_is_named_with_its_number_of_samples() -> None:
    (line,) = split_advice(utterances({"split": "trian"}, {"split": "trian"}, {"split": "test"}))
    assert line.startswith("2 samples have the split 'trian', which is not one of train, dev and test: ")
