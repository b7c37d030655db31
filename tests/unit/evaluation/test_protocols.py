"""Which utterances train, choose and test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import ALL, dialogue_of, get_protocol, speaker_of

IEMOCAP_LABELS = ["ang", "hap", "exc", "neu", "sad", "fru", "sur", "xxx", None]


def utterance(number: int = 0, **fields) -> Utterance:
    given = {
        "key": f"u{number}",
        "corpus": "iemocap",
        "session": 1,
        "dialogue": "d0",
        "utterance": number,
        "speaker": "F",
        "label": "neu",
        "duration": 1.0,
    }
    return Utterance(**{**given, **fields})


def corpus(per_dialogue: int = 9, dialogues: int = 4) -> list[Utterance]:
    return [
        utterance(
            number=((s * 10 + d) * 100 + n),
            session=s,
            dialogue=f"Ses0{s}F_impro0{d}",
            speaker="FM"[n % 2],
            label=IEMOCAP_LABELS[n % len(IEMOCAP_LABELS)],
        )
        for s in range(1, 6)
        for d in range(dialogues)
        for n in range(per_dialogue)
    ]


def test_four_classes_merge_happy_and_excited_and_leave_the_rest_out():
    protocol = get_protocol("iemocap4")
    labels = [protocol.label_of(utterance(label=label)) for label in IEMOCAP_LABELS]
    assert [None if c is None else protocol.classes[c] for c in labels] == [
        "angry", "happy", "happy", "neutral", "sad", None, None, None, None,
    ]  # fmt: skip


def test_six_classes_keep_excited_and_frustrated_apart():
    protocol = get_protocol("iemocap6")
    assert protocol.label_of(utterance(label="exc")) != protocol.label_of(utterance(label="hap"))
    assert protocol.label_of(utterance(label="FRU")) == protocol.classes.index("frustrated")


def test_meld_classes_stand_in_the_corpus_order():
    assert get_protocol("meld7").classes == ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")


@given(
    fold=st.integers(1, 5),
    by=st.sampled_from(["speaker", "dialogue"]),
    fraction=st.floats(0.05, 0.45),
    per_dialogue=st.integers(1, 20),
)
def test_the_validation_split_is_whole_groups_outside_the_test_fold(fold, by, fraction, per_dialogue):
    utterances = corpus(per_dialogue)
    data = DataConfig(test_fold=fold, validation=by, validation_fraction=fraction)
    protocol = get_protocol("iemocap6")
    parts = protocol.split(utterances, data)
    numbers = parts["train"] + parts["validation"] + parts["test"]
    assert sorted(numbers) == [n for n, u in enumerate(utterances) if protocol.label_of(u) is not None]
    assert {utterances[n].session for n in parts["test"]} == {fold}
    assert all(utterances[n].session != fold for n in parts["train"] + parts["validation"])
    identity = speaker_of if by == "speaker" else dialogue_of
    groups = [{identity(utterances[n]) for n in parts[name]} for name in ("train", "validation")]
    assert groups[1] and not groups[0] & groups[1]
    assert parts == protocol.split(list(utterances), data)


def test_the_split_does_not_depend_on_the_order_of_the_utterances():
    utterances = corpus()
    split = get_protocol("iemocap4").split
    forward, backward = split(utterances, DataConfig()), split(utterances[::-1], DataConfig())
    for name in forward:
        assert {utterances[n].key for n in forward[name]} == {utterances[::-1][n].key for n in backward[name]}


def test_the_validation_split_holds_every_class_when_some_draw_can():
    utterances = corpus(per_dialogue=3)  # a dialogue carries three labels at most
    utterances += [utterance(9000 + n, session=1 + n % 4, dialogue=f"x{n}", label="sad") for n in range(8)]
    protocol = get_protocol("iemocap4")
    data = DataConfig(validation_fraction=0.3)
    parts = protocol.split(utterances, data)
    labels = {protocol.label_of(utterances[n]) for n in parts["train"] + parts["validation"]}
    assert {protocol.label_of(utterances[n]) for n in parts["validation"]} == labels
    assert {protocol.label_of(utterances[n]) for n in parts["train"]} == labels


def test_meld_uses_its_official_splits():
    utterances = [
        utterance(n, corpus="meld", session=None, split=split, label="joy")
        for n, split in enumerate(["train", "dev", "test", "train"])
    ]
    parts = get_protocol("meld7").split(utterances, DataConfig(protocol="meld7"))
    assert parts == {"train": [0, 3], "validation": [1], "test": [2]}


def test_meld_dialogues_of_different_splits_are_different_dialogues():
    one, other = (utterance(corpus="meld", session=None, split=split, dialogue="12") for split in ("train", "test"))
    assert dialogue_of(one) != dialogue_of(other)


def test_all_takes_the_sorted_labels_found_and_leaves_out_no_majority():
    utterances = [utterance(label=label) for label in ["Joy", "anger", "xxx", None, "joy "]]
    protocol = get_protocol("all", utterances)
    assert protocol.classes == ("anger", "joy")
    assert protocol.labels_of(utterances) == [1, 0, None, None, 1]


def test_a_model_s_own_classes_are_a_protocol():
    assert ALL.with_classes(["b", "a"]).label_of(utterance(label="A")) == 1


def test_a_manifest_without_a_dev_split_draws_one_from_train_only():
    utterances = [
        utterance(n, corpus="mine", session=None, split="test" if n % 5 == 0 else "train", dialogue=f"d{n // 3}")
        for n in range(60)
    ]
    parts = get_protocol("all", utterances).split(utterances, DataConfig(protocol="all"))
    assert parts["test"] == [n for n in range(60) if n % 5 == 0]
    assert parts["validation"] and all(utterances[n].split == "train" for n in parts["validation"])


@pytest.mark.parametrize(
    ("name", "utterances", "data", "words"),
    [
        ("iemocap4", [utterance(corpus="meld", split="train")], {}, "data.protocol: iemocap4 is defined on iemocap"),
        ("meld7", [utterance(corpus="meld", label=None, split="train")], {}, "data.protocol: no utterance carries"),
        ("all", [], {}, "data.protocol: no utterance carries"),
        ("all", [utterance(corpus="mine", session=None)], {}, "neither a split nor a session"),
        ("all", [utterance(corpus="mine", split="holdout")], {}, "'holdout'"),
        ("iemocap4", [utterance(session=5)], {}, "leaves no utterance to train on"),
        ("iemocap4", [utterance(0), utterance(1)], {"validation": "speaker"}, "data.validation"),
    ],
)
def test_a_corpus_that_does_not_fit_is_refused_with_the_setting_to_change(name, utterances, data, words):
    with pytest.raises(UserError, match=words):
        get_protocol(name, utterances).split(utterances, DataConfig(**data))


def test_an_unknown_protocol_is_refused_by_name():
    with pytest.raises(UserError, match=r"data\.protocol: there is no protocol 'meld8'; did you mean 'meld7'"):
        get_protocol("meld8")
