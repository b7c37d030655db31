"""What cannot be learned or scored is refused before there is a job; what is odd is told in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.sample import Utterance, Vote
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import protocol_of
from dual_hpc.evaluation.trainable import check_trainable
from tests.unit.evaluation.protocols_corpus import acted, utterance

TWO = "classes: {up: up, down: down}\n"
LOSO = "folds: {by: speaker}\nvalidation: {by: speaker}\n"


def people(corpus: str = "mine", **fields: object) -> list[Utterance]:
    return acted(corpus, ["Ann", "Bob", "Cid"], ["up", "down"], takes=2, **fields)


def told(folder: Path, text: str, utterances: Sequence[Utterance], fold: int | str = "ann") -> list[str]:
    (folder / "mine.yaml").write_text(text)
    data: DataConfig = load_config(None, [f"data.protocol={folder / 'mine.yaml'}", f"data.test_fold={fold}"]).data
    protocol = protocol_of(data, utterances)
    return check_trainable(protocol, utterances, protocol.divide(utterances, data), own=True)


def test_nothing_is_said_of_a_protocol_whose_names_are_all_somebody_s(tmp_path: Path) -> None:
    assert told(tmp_path, TWO + LOSO, people()) == []


NOBODY = {
    "classes: {up: [up, upp], down: down}": "has the label upp (up); there are down, up",
    "classes: {up: up, down: [down, no]}": "has the label false (down), which is what YAML makes of yes and no without",
    TWO + "exclude: {speaker: Dan}": "has the speaker dan (exclude); there are ann, bob, cid",
    TWO + "where: {corpus: [mine, yours]}": "has the corpus yours (where); there are mine",
}


@pytest.mark.parametrize("text", NOBODY)
def test_a_name_that_no_utterance_has_is_told_with_those_that_there_are(tmp_path: Path, text: str) -> None:
    (said,) = told(tmp_path, f"{text}\n{LOSO}", people())
    assert said.startswith("no utterance ") and NOBODY[text] in said


def test_values_of_folds_and_corpora_that_are_not_there_are_told(tmp_path: Path) -> None:
    folds = "folds: {by: speaker, values: {one: [Ann, Dan], two: [Bob, Cid]}}\nvalidation: {by: speaker}\n"
    assert told(tmp_path, TWO + folds, people(), "one") == [
        "no utterance has the speaker dan (one); there are ann, bob, cid"
    ]
    corpora = "corpora:\n  mine: {classes: {up: up, down: down}}\n  yours: {classes: {up: high, down: low}}\n"
    assert told(tmp_path, corpora + LOSO, people()) == ["data.shards hold nothing of yours, which mine names"]


def test_a_class_without_an_utterance_is_refused_with_the_labels_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no utterance is of the class left: .*label lleft \(left\); there are down, up"
    ):
        told(tmp_path, "classes: {up: up, down: down, left: lleft}\n" + LOSO, people())


def test_a_class_of_a_corpus_that_is_not_there_is_not_missed(tmp_path: Path) -> None:
    corpora = "corpora:\n  mine: {classes: {up: up, down: down}}\n  yours: {classes: {up: high, left: west}}\n"
    assert told(tmp_path, corpora + LOSO, people()) == ["data.shards hold nothing of yours, which mine names"]


def test_a_class_that_only_tests_is_told_and_one_that_alone_trains_is_refused(tmp_path: Path) -> None:
    left = [one.model_copy(update={"label": "left"}) for one in people()[:2]]
    three = "classes: {up: up, down: down, left: left}\n" + LOSO
    extra = [one.model_copy(update={"key": f"more_{one.key}"}) for one in left]
    assert "no utterance of the class left trains, and 2 test: no answer will be left" in told(
        tmp_path, three, [*people(), *extra]
    )
    alone = [one for one in people() if one.speaker == "Ann" or one.label == "up"]
    with pytest.raises(UserError, match="all utterances that train are up; there is nothing to learn"):
        told(tmp_path, TWO + LOSO, alone)


def test_a_class_that_no_validation_has_is_told(tmp_path: Path) -> None:
    some = [one for one in people() if one.speaker != "Bob" or one.label == "up"]
    text = TWO + "folds: {by: speaker, parts: {train: Cid, validation: Bob, test: Ann}}\n"
    assert told(tmp_path, text, some) == [
        "no utterance of the class down is in the validation part, which chooses the weights"
    ]


SOFT = TWO + LOSO + "target: soft\n"
VOTES = {
    "none": None,
    "without labels": (Vote(rater="r", valence=1.0),),
    "for other labels": (Vote(rater="r", labels=("left",)),),
    "of the actor alone": (Vote(rater="r", labels=("up",), own=True),),
}


@pytest.mark.parametrize("case", VOTES)
def test_votes_that_say_nothing_of_the_classes_are_refused(tmp_path: Path, case: str) -> None:
    with pytest.raises(UserError, match="trains on votes, and no utterance that trains has one for a class"):
        told(tmp_path, SOFT, people(votes=VOTES[case]))


def test_how_many_utterances_have_no_vote_is_told(tmp_path: Path) -> None:
    mixed = [
        one.model_copy(update={"votes": (Vote(rater="r", labels=("up",)),) if number % 3 else None})
        for number, one in enumerate(people())
    ]
    (said,) = told(tmp_path, SOFT, mixed)
    assert said.endswith("of 4 utterances that train have no vote for a class: their label is trained")


REGRESSION = TWO + LOSO + "target: regression\ndimensions: [valence]\n"


def test_dimensions_that_some_lack_are_told_and_that_all_lack_are_refused(tmp_path: Path) -> None:
    rated = [
        one.model_copy(update={"valence": float(number) if number % 2 else None}) for number, one in enumerate(people())
    ]
    assert told(tmp_path, REGRESSION, rated) == ["2 of 4 utterances that train have no valence"]
    with pytest.raises(UserError, match="trains on valence, and of the utterances that train no utterance has it"):
        told(tmp_path, REGRESSION, people())


def test_dimensions_of_two_corpora_are_refused_also_where_no_corpus_is_named(tmp_path: Path) -> None:
    both = [
        one.model_copy(update={"valence": float(number)})
        for number, one in enumerate([*people("mine"), *people("yours")])
    ]
    text = TWO + "folds: {by: speaker}\nvalidation: {by: dialogue}\nshared: {speaker: validation}\n"
    with pytest.raises(UserError, match="mine, yours have them, each on a scale of its own"):
        told(tmp_path, text + "target: regression\ndimensions: [valence]\n", both)


def test_samples_that_reports_could_not_tell_apart_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"4 samples are twice in the part test: mine_Ann_down_0, .*; leave a folder"):
        told(tmp_path, TWO + LOSO, [*people(), *people()])
    yours = [one.model_copy(update={"corpus": "yours"}) for one in people()]
    with pytest.raises(UserError, match=r"mine, yours have samples of the same name in the test part .*Ann_down_0"):
        told(tmp_path, TWO + LOSO, [*people(), *yours])


def test_samples_of_one_name_in_two_corpora_may_train(tmp_path: Path) -> None:
    corpora = "corpora:\n  mine: {classes: {up: up, down: down}}\n  yours: {classes: {up: up, down: down}}\n"
    third = [utterance(n, corpus="third", label=("up", "down")[n % 2], speaker="Dan") for n in range(4)]
    yours = [one.model_copy(update={"corpus": "yours"}) for one in people()]
    text = corpora + "  third: {classes: {up: up, down: down}}\nfolds: {by: corpus}\nvalidation: {by: speaker}\n"
    assert told(tmp_path, text, [*people(), *yours, *third], "third") == []
