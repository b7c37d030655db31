"""A corpus without a split of its own: groups are never torn apart, and nothing but the metadata decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dual_hpc.config import load_config
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import SPLITS, protocol_of
from dual_hpc.evaluation.protocols.split import DIALOGUE

GROUP = {
    "speaker": ("corpus", "speaker"),
    "dialogue": DIALOGUE,
    "session": ("corpus", "session"),
    "corpus": ("corpus",),
    "utterance": ("key",),
}


def utterance(number: int, **fields: Any) -> Utterance:
    given_fields = {"corpus": "mine", "dialogue": f"d{number}", "speaker": "s", "label": "ab"[number % 2]}
    return Utterance(key=f"u{number}", utterance=0, duration=1.0, **{**given_fields, **fields})


@st.composite
def corpora(draw: st.DrawFn) -> list[Utterance]:
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 12), st.integers(0, 30), st.integers(1, 4), st.sampled_from("abcd"),
                st.sampled_from([None, "a", "b", "C ", "xxx"]), st.sampled_from(["train", None]),
            ),
            min_size=3,
            max_size=80,
        )
    )  # fmt: skip
    return [
        utterance(n, speaker=f"s{s}", dialogue=f"d{d}", session=k, corpus=c, label=label, split=split)
        for n, (s, d, k, c, label, split) in enumerate(rows)
    ]


HOW = st.one_of(
    st.tuples(st.integers(4, 7), st.integers(1, 3), st.integers(0, 3)).map(lambda t: [one / sum(t) for one in t]),
    st.integers(2, 6),
    st.just("leave_one_out"),
)


@settings(max_examples=300)
@given(utterances=corpora(), by=st.sampled_from(list(GROUP)), how=HOW, seed=st.integers(0, 3), fold=st.integers(1, 6))
def test_no_group_is_in_two_parts_and_every_labelled_utterance_is_in_one(
    utterances: list[Utterance], by: str, how: Any, seed: int, fold: int
) -> None:
    data = DataConfig(protocol="all", split={by: how, "seed": seed}, test_fold=fold)
    assume(any(one.label not in (None, "xxx") for one in utterances))
    protocol = protocol_of(data, utterances)
    try:
        parts = protocol.split(utterances, data)
    except UserError as error:
        assert "are needed; divide by" in str(error) or "is not a fold of data.split" in str(error)
        return
    labelled = [n for n, label in enumerate(protocol.labels_of(utterances)) if label is not None]
    assert sorted(n for part in parts.values() for n in part) == labelled

    def group(number: int) -> tuple[Any, ...]:
        return tuple(getattr(utterances[number], field) for field in GROUP[by])

    groups = {name: {group(n) for n in part} for name, part in parts.items()}
    assert groups["train"] and groups["validation"]
    assert bool(groups["test"]) or (isinstance(how, list) and not how[2]) or isinstance(how, int)
    assert not groups["train"] & groups["validation"] and not (groups["train"] | groups["validation"]) & groups["test"]
    turned = protocol.split(utterances[::-1], data)
    for name in SPLITS:
        assert {utterances[n].key for n in parts[name]} == {utterances[::-1][n].key for n in turned[name]}


@given(utterances=corpora(), folds=st.integers(2, 6), seed=st.integers(0, 3))
def test_each_group_is_tested_once_over_the_folds(utterances: list[Utterance], folds: int, seed: int) -> None:
    setting = {"dialogue": folds, "seed": seed}
    data = DataConfig(protocol="all", split=setting)
    assume(len({one.dialogue for one in utterances if one.label not in (None, "xxx")}) >= max(3, folds))
    protocol = protocol_of(data, utterances)
    assert protocol.folds == tuple(range(1, folds + 1))
    tested: list[int] = []
    for fold in protocol.folds:
        try:
            tested += protocol.split(utterances, DataConfig(protocol="all", split=setting, test_fold=fold))["test"]
        except UserError as error:  # one dialogue is larger than all others together
            assert f"outside of fold {fold} have 1 dialogue" in str(error)
            return
    assert sorted(tested) == [n for n, label in enumerate(protocol.labels_of(utterances)) if label is not None]


def many(speakers: int = 24, each: int = 60) -> list[Utterance]:
    """Speakers who say three classes as 3 : 2 : 1."""
    return [
        utterance(s * each + n, speaker=f"s{s:02}", label="aaabbc"[n % 6]) for s in range(speakers) for n in range(each)
    ]


def test_shares_and_the_mix_of_classes_are_kept() -> None:
    utterances = many()
    parts = protocol_of(data := DataConfig(protocol="all", split={"speaker": [0.7, 0.15, 0.15]}), utterances).split(
        utterances, data
    )
    sizes = {name: len(part) / len(utterances) for name, part in parts.items()}
    assert sizes == pytest.approx({"train": 0.7, "validation": 0.15, "test": 0.15}, abs=0.04)
    for part in parts.values():
        assert np.mean([utterances[n].label == "a" for n in part]) == pytest.approx(0.5)


def test_folds_are_of_one_size_and_mix() -> None:
    rng = np.random.default_rng(1)
    utterances = [
        utterance(n, dialogue=f"d{n % 300}", label="abc"[min(2, int(rng.exponential()))]) for n in range(3000)
    ]
    data = DataConfig(protocol="all", split={"dialogue": 5})
    for fold in range(1, 6):
        one = data.model_copy(update={"test_fold": fold})
        parts = protocol_of(one, utterances).split(utterances, one)
        assert abs(len(parts["test"]) - 600) <= 20
        share = np.mean([utterances[n].label == "a" for n in range(3000)])
        assert np.mean([utterances[n].label == "a" for n in parts["test"]]) == pytest.approx(share, abs=0.03)


def test_leaving_one_speaker_out_has_a_fold_for_each_in_the_order_of_their_names() -> None:
    utterances = many(speakers=10, each=6)
    for fold in range(1, 11):
        data = DataConfig(protocol="all", split={"speaker": "leave_one_out"}, test_fold=fold)
        protocol = protocol_of(data, utterances)
        assert protocol.folds == tuple(range(1, 11))
        tested = protocol.split(utterances, data)["test"]
        assert {utterances[n].speaker for n in tested} == {f"s{fold - 1:02}"}


def test_another_seed_divides_otherwise_and_the_same_seed_alike() -> None:
    utterances = many()

    def test_part(seed: int) -> list[int]:
        data = DataConfig(protocol="all", split={"speaker": [0.6, 0.2, 0.2], "seed": seed})
        return protocol_of(data, utterances).split(utterances, data)["test"]

    assert len({tuple(test_part(seed)) for seed in range(6)}) > 3
    assert test_part(3) == test_part(3)


def test_the_division_of_a_published_split_does_not_move() -> None:
    utterances = many(speakers=6, each=6)
    data = DataConfig(protocol="all", split={"speaker": [0.5, 0.25, 0.25]})
    parts = protocol_of(data, utterances).split(utterances, data)
    speakers = {name: sorted({utterances[n].speaker for n in part}) for name, part in parts.items()}
    assert speakers == EXPECTED


def test_a_speaker_who_comes_back_in_another_session_stays_in_one_part() -> None:
    utterances = [utterance(n, speaker=f"s{n % 6}", session=n % 4) for n in range(240)]
    data = DataConfig(protocol="all", split={"speaker": [0.5, 0.25, 0.25]})
    parts = protocol_of(data, utterances).split(utterances, data)
    heard = [{utterances[n].speaker for n in part} for part in parts.values()]
    assert sum(map(len, heard)) == 6


def test_classes_merge_labels_and_leave_the_others_out() -> None:
    utterances = [utterance(n, label=["joy", "Happy ", "anger", "fear", None][n % 5]) for n in range(50)]
    data = DataConfig(
        protocol="all", classes={"positive": ["JOY", "happy"], "negative": "anger"}, split={"utterance": 5}
    )
    protocol = protocol_of(data, utterances)
    assert protocol.classes == ("positive", "negative")
    assert protocol.labels_of(utterances[:5]) == [0, 0, 1, None, None]
    assert sum(map(len, protocol.split(utterances, data).values())) == 30


@pytest.mark.parametrize("protocol", ["iemocap4", "meld7"])
def test_the_classes_of_a_built_in_protocol_can_be_merged(protocol: str) -> None:
    corpus = "meld" if protocol == "meld7" else "iemocap"
    labels = ["anger", "joy", "ang", "hap"]
    utterances = [
        utterance(n, corpus=corpus, session=n % 5 + 1, label=labels[n % 4], split=["train", "dev", "test"][n % 3])
        for n in range(60)
    ]
    data = DataConfig(protocol=protocol, classes={"bad": ["anger", "ang"], "good": ["joy", "hap"]})
    found = protocol_of(data, utterances)
    assert found.classes == ("bad", "good") and found.labels_of(utterances[:4]) == [0, 1, 0, 1]
    assert all(found.split(utterances, data).values())


def test_a_class_without_utterances_is_refused_with_the_labels_found() -> None:
    data = DataConfig(protocol="all", classes={"good": ["hapy"], "bad": ["b"]})
    with pytest.raises(UserError, match=r"data\.classes: no utterance has a label of good \(hapy\).*found: a, b"):
        protocol_of(data, many(3))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("data.split={speakers: [0.7, 0.15, 0.15]}", "'speakers' is not one of speaker, dialogue"),
        ("data.split={speaker: 5, dialogue: 5}", "2 columns are not one of"),
        ("data.split={seed: 3}", "0 columns are not one of"),
        ("data.split={speaker: [0.8, 0.2]}", "three numbers that add up to 1"),
        ("data.split={speaker: [0.8, 0.2, 0.2]}", "add up to 1"),
        ("data.split={speaker: [70, 15, 15]}", "add up to 1"),
        ("data.split={speaker: [1, 0, 0]}", "a share above 0"),
        ("data.split={speaker: [1.2, -0.1, -0.1]}", "a share above 0"),
        ("data.split={speaker: [a, b, c]}", "three numbers"),
        ("data.split={speaker: 1}", "number of folds"),
        ("data.split={speaker: true}", "number of folds"),
        ("data.split={speaker: loso}", "leave_one_out"),
        ("data.split={speaker: 5, seed: -1}", "seed"),
        ("data.split=speaker", "data.split"),
        ("data.classes={a: [x]}", "a single class"),
        ("data.classes={a: [x], b: [X]}", "the label x belongs to a and to b"),
        ("data.classes={a: [x], b: []}", "the class 'b' has no labels"),
        ("data.classes={a: [x], b: [1]}", "quotes"),
        ("data.classes=[a, b]", "data.classes"),
    ],
)
def test_a_wrong_division_is_one_line_that_names_the_setting(setting: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config("demo", [setting])
    assert said in str(caught.value) and str(caught.value).startswith(setting.split("=")[0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            {"split": {"speaker": [0.7, 0.15, 0.15]}},
            "have 1 speaker, and 3 are needed; divide by dialogue or utterance",
        ),
        ({"split": {"dialogue": 60}}, "have 40 dialogues, and 60 are needed; divide by speaker or utterance"),
        ({"split": {"dialogue": 3}}, "data.test_fold: 5 is not a fold of data.split; use one of 1, 2, 3"),
    ],
)
def test_a_division_that_cannot_be_made_says_by_what_it_can(data: dict[str, Any], said: str) -> None:
    utterances = [utterance(n) for n in range(40)]
    wanted = DataConfig(protocol="all", **data)
    with pytest.raises(UserError) as caught:
        protocol_of(wanted, utterances).split(utterances, wanted)
    assert said in str(caught.value)


EXPECTED = {"train": ["s00", "s01", "s05"], "validation": ["s02", "s03"], "test": ["s04"]}
