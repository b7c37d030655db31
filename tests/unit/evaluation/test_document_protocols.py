"""Protocols as data: each a YAML of a few lines over the same metadata; what leaks is refused with its names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.config import load_config
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import PROTOCOLS, get_protocol, protocol_of
from dual_hpc.evaluation.protocols.protocol import named
from dual_hpc.evaluation.protocols.registered import BUILTIN
from tests.unit.evaluation.protocols_corpus import acted, iemocap, utterance

CREMA = [str(number) for number in range(1001, 1092)]
ACTORS = [f"{number:02d}" for number in range(1, 25)]
CREMA_LABELS = ["ang", "dis", "fea", "hap", "neu", "sad"]
RAVDESS_LABELS = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]


def data_of(folder: Path, text: str, **settings_: object) -> DataConfig:
    (folder / "mine.yaml").write_text(text)
    overrides = [f"data.{name}={value}" for name, value in settings_.items()]
    return load_config(None, [f"data.protocol={folder / 'mine.yaml'}", *overrides]).data


def parts_of(data: DataConfig, utterances: list[Utterance]) -> dict[str, list[Utterance]]:
    found = protocol_of(data, utterances).split(utterances, data)
    assert len({n for part in found.values() for n in part}) == sum(map(len, found.values())), "disjoint"
    return {name: [utterances[n] for n in numbers] for name, numbers in found.items()}


def speakers(part: list[Utterance]) -> set[str]:
    return {one.speaker for one in part}


@pytest.mark.parametrize("name", [path.stem for path in sorted(BUILTIN.glob("*.yaml"))])
def test_each_protocol_of_the_project_has_its_name_and_says_where_it_comes_from(name: str) -> None:
    protocol = PROTOCOLS.get(name)
    assert protocol.name == name and len(protocol.classes) >= 3
    assert len(getattr(protocol, "rules").source) > 20  # noqa: B009 - of a protocol that a file describes


def test_a_misspelt_protocol_is_told_the_nearest_of_those_in_files() -> None:
    with pytest.raises(UserError, match="did you mean 'iemocap4-loso'"):
        get_protocol("iemocap4-los")


@pytest.mark.parametrize(("name", "classes"), [("iemocap4-loso", 4), ("iemocap5-loso", 5), ("iemocap6-loso", 6)])
def test_one_of_ten_speakers_tests_and_the_other_of_the_session_validates(name: str, classes: int) -> None:
    utterances = iemocap()
    protocol = get_protocol(name, utterances)
    assert len(protocol.classes) == classes and len(protocol.folds) == 10
    for fold in protocol.folds:
        parts = parts_of(DataConfig(protocol=name, test_fold=fold), utterances)
        assert {one.lower() for one in speakers(parts["test"])} == {fold}
        (other,) = speakers(parts["validation"])
        assert other[:5].lower() == str(fold)[:5] and other.lower() != fold
        assert len(speakers(parts["train"])) == 8


def test_five_classes_by_session_merge_happy_and_excited_and_keep_frustrated() -> None:
    utterances = iemocap()
    protocol = get_protocol("iemocap5", utterances)
    assert protocol.folds == (1, 2, 3, 4, 5)
    found = {label: protocol.label_of(utterance(0, label=label)) for label in ("hap", "exc", "fru", "sur")}
    assert found["hap"] == found["exc"] is not None and found["fru"] == 4 and found["sur"] is None
    assert {one.session for one in parts_of(DataConfig(protocol="iemocap5", test_fold=2), utterances)["test"]} == {2}


@pytest.mark.parametrize(("fold", "test", "validation"), [(1, 4, 5), (2, 3, 4), (3, 2, 3), (4, 1, 2), (5, 5, 1)])
def test_the_sessions_of_emo_superb_s_partitions(fold: int, test: int, validation: int) -> None:
    parts = parts_of(DataConfig(protocol="iemocap4-emosuperb", test_fold=fold), iemocap())
    assert {one.session for one in parts["test"]} == {test}
    assert {one.session for one in parts["validation"]} == {validation}
    assert {one.session for one in parts["train"]} == {1, 2, 3, 4, 5} - {test, validation}


def test_the_five_folds_of_crema_d_hold_each_actor_once() -> None:
    utterances = acted("cremad", CREMA, CREMA_LABELS, takes=1)
    tested: list[set[str]] = []
    for fold in get_protocol("cremad6", utterances).folds:
        parts = parts_of(DataConfig(protocol="cremad6", test_fold=fold), utterances)
        assert not speakers(parts["validation"]) & (speakers(parts["train"]) | speakers(parts["test"]))
        tested.append(speakers(parts["test"]))
    assert [len(one) for one in tested] == [18, 18, 18, 18, 19] and set.union(*tested) == set(CREMA)
    next_one = parts_of(DataConfig(protocol="cremad6-emosuperb", test_fold=5), utterances)["validation"]
    assert speakers(next_one) == tested[0]


def test_leave_one_of_24_actors_out_and_six_folds_of_four() -> None:
    utterances = acted("ravdess", ACTORS, RAVDESS_LABELS, takes=1)
    assert len(get_protocol("ravdess8", utterances).folds) == 24
    assert speakers(parts_of(DataConfig(protocol="ravdess8", test_fold="07"), utterances)["test"]) == {"07"}
    for name in ("ravdess8-hicmae", "ravdess8-emobox"):
        found = [
            speakers(parts_of(DataConfig(protocol=name, test_fold=fold), utterances)["test"]) for fold in range(1, 7)
        ]
        assert sum(map(len, found)) == 24 and set.union(*found) == set(ACTORS)


def test_three_sentiments_are_read_from_an_attribute() -> None:
    table = [("train", "joy", "positive"), ("dev", "anger", "negative"), ("test", "surprise", "positive")]
    utterances = [
        utterance(n, corpus="meld", split=split, label=label, attributes={"sentiment": sentiment})
        for n, (split, label, sentiment) in enumerate([*table, ("train", "neutral", "neutral")])
    ]
    parts = parts_of(DataConfig(protocol="meld3"), utterances)
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [2, 1, 1]
    protocol = get_protocol("meld3", utterances)
    assert [protocol.classes[number or 0] for number in protocol.labels_of(utterances)][:3] == [
        "positive",
        "negative",
        "positive",
    ]


def test_a_protocol_on_a_column_that_the_shards_lack_names_those_they_have() -> None:
    old = [utterance(0, corpus="meld", split="train", attributes={"age": "30"})]
    with pytest.raises(UserError, match=r"no column 'sentiment'.*they have age"):
        protocol_of(DataConfig(protocol="meld3"), old)


MERGED = """
name: two
classes: {bad: [ang, sad, fru], good: [hap, exc]}
where: {scripted: false}
folds: {by: session}
"""


def test_merging_classes_and_a_choice_of_utterances_over_the_same_shards(tmp_path: Path) -> None:
    data = data_of(tmp_path, MERGED + "shared: {speaker: validation}\n", test_fold=3)
    utterances = iemocap()
    parts = parts_of(data, utterances)
    assert data.protocol == "two" and protocol_of(data, utterances).classes == ("bad", "good")
    assert all(one.scripted is False for part in parts.values() for one in part)
    assert {one.label for part in parts.values() for one in part} == {"ang", "sad", "fru", "hap", "exc"}


KFOLD = "classes: {angry: [ang], sad: [sad]}\nfolds: {by: speaker, k: 5, seed: SEED}\nvalidation: {fold: next}\n"


@given(seed=st.integers(0, 1000), people=st.integers(5, 30))
@settings(max_examples=8, deadline=None)
def test_k_folds_by_speaker_test_each_speaker_once(
    tmp_path_factory: pytest.TempPathFactory, seed: int, people: int
) -> None:
    utterances = acted("mine", [f"p{n}" for n in range(people)], ["ang", "sad"])
    tested: Counter[str] = Counter()
    for fold in range(1, 6):
        data = data_of(tmp_path_factory.mktemp("k"), KFOLD.replace("SEED", str(seed)), test_fold=fold)
        parts = parts_of(data, utterances)
        tested.update(speakers(parts["test"]))
        assert not speakers(parts["train"]) & (speakers(parts["validation"]) | speakers(parts["test"]))
    assert set(tested) == speakers(utterances) and set(tested.values()) == {1}


def test_folds_from_a_file_of_names_stand_with_their_hash_in_the_configuration(tmp_path: Path) -> None:
    utterances = acted("mine", ["Ann", "Bob", "Cid", "Dan"], ["ang", "sad"])
    (tmp_path / "folds.csv").write_text("speaker,fold\nann,1\nBob,1\nCid,two\nDan,two\n")
    text = "classes: {angry: ang, sad: sad}\nfolds: {file: folds.csv}\nvalidation: {by: speaker, fraction: 0.4}\n"
    data = data_of(tmp_path, text, test_fold="two")
    assert protocol_of(data, utterances).folds == (1, "two")
    assert speakers(parts_of(data, utterances)["test"]) == {"Cid", "Dan"}
    (tmp_path / "folds.csv").write_text("speaker,fold\nann,1\nBob,two\nCid,1\nDan,two\n")
    with pytest.raises(UserError, match=r"folds\.file .* is not what it was"):
        protocol_of(data, utterances)


def test_parts_from_a_file_of_keys(tmp_path: Path) -> None:
    utterances = acted("mine", ["a", "b", "c"], ["ang", "sad"], takes=2)
    part_of = {"a": "train", "b": "dev", "c": "test"}
    lines = [f"{one.key},{part_of[one.speaker]}" for one in utterances]
    (tmp_path / "folds.csv").write_text("\n".join(["key,part", *lines]))
    data = data_of(tmp_path, "classes: {angry: ang, sad: sad}\nfolds: {file: folds.csv}\n")
    parts = parts_of(data, utterances)
    assert [speakers(parts[name]) for name in ("train", "validation", "test")] == [{"a"}, {"b"}, {"c"}]
    assert protocol_of(data, utterances).folds == ()


TWO = """
name: both
corpora:
  iemocap: {classes: {angry: ang, happy: [hap, exc], neutral: neu, sad: sad}}
  meld: {classes: {angry: anger, happy: joy, neutral: neutral, sad: sadness}, weight: WEIGHT}
folds: {by: corpus}
validation: {by: dialogue}
shared: {speaker: validation}
"""


def both() -> list[Utterance]:
    meld = acted("meld", ["Joey", "Ross"], ["anger", "joy", "sadness", "fear"], split="train")
    return [*iemocap(), *meld]


def test_two_corpora_share_classes_and_one_of_them_is_left_out(tmp_path: Path) -> None:
    utterances = both()
    data = data_of(tmp_path, TWO.replace("WEIGHT", "1"), test_fold="meld")
    protocol = protocol_of(data, utterances)
    assert protocol.classes == ("angry", "happy", "neutral", "sad") and protocol.folds == ("iemocap", "meld")
    angry = {one.label for one, label in zip(utterances, protocol.labels_of(utterances), strict=True) if label == 0}
    assert angry == {"ang", "anger"}
    parts = parts_of(data, utterances)
    assert {one.corpus for one in parts["test"]} == {"meld"}
    assert {one.corpus for one in parts["train"]} == {"iemocap"} == {one.corpus for one in parts["validation"]}


@pytest.mark.parametrize(("weight", "times"), [("1", 1.0), ("3", 3.0), ("2.5", 2.5)])
def test_a_weight_says_how_often_a_corpus_is_read_in_an_epoch(tmp_path: Path, weight: str, times: float) -> None:
    utterances = both()
    data = data_of(tmp_path, TWO.replace("WEIGHT", weight), test_fold="meld")
    protocol = protocol_of(data, utterances)
    chosen = np.array([n for n, one in enumerate(utterances) if one.corpus == "meld"])
    others = np.array([n for n, one in enumerate(utterances) if one.corpus != "meld"])
    read = protocol.repeated(utterances, np.sort(np.concatenate([others, chosen])))
    counts = np.bincount(read, minlength=len(utterances))
    assert set(counts[others].tolist()) == {1} and counts[chosen].sum() == int(times * len(chosen))
    assert counts[chosen].max() - counts[chosen].min() <= 1 and (np.diff(read) >= 0).all()


def test_a_corpus_that_the_protocol_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    data = data_of(tmp_path, TWO.replace("WEIGHT", "1"), test_fold="meld")
    utterances = [*both(), utterance(1, key="x", corpus="savee")]
    with pytest.raises(UserError, match=r"both is defined on iemocap, meld, but data\.shards hold savee"):
        protocol_of(data, utterances).split(utterances, data)


LEAKS = {
    "a speaker in train and test": (
        "folds: {by: dialogue, k: 4}\nvalidation: {by: speaker}",
        r"1 speaker is in train and in test: (ann|bob); divide by speaker, or write `shared: {speaker: test}`",
    ),
    "a dialogue in train and test": ("folds: {by: speaker}\nvalidation: {by: dialogue}", "dialogue"),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_speaker_or_dialogue_in_two_parts_is_refused_with_its_names(tmp_path: Path, case: str) -> None:
    folds, words = LEAKS[case]
    utterances = [
        utterance(n, corpus="mine", speaker=("ann", "bob")[n % 2], session=1 + n // 16, label=("ang", "sad")[n % 3 % 2])
        for n in range(32)
    ]
    utterances = [one.model_copy(update={"dialogue": f"d{n // 4}"}) for n, one in enumerate(utterances)]
    fold = {"folds: {by: speaker}": "ann"}.get(folds.split("\n")[0], 1)
    data = data_of(tmp_path, f"classes: {{angry: ang, sad: sad}}\n{folds}\n", test_fold=fold)
    with pytest.raises(UserError, match=words):
        protocol_of(data, utterances).split(utterances, data)


def test_speakers_in_train_and_validation_are_refused_as_well(tmp_path: Path) -> None:
    text = "classes: {angry: ang, sad: sad}\nfolds: {by: session}\nvalidation: {by: dialogue}\n"
    data = data_of(tmp_path, text, test_fold=5)
    with pytest.raises(UserError, match=r"\d speakers are in train and in validation: Ses0.*or write `shared"):
        protocol_of(data, iemocap()).split(iemocap(), data)


VALIDATES = {
    "folds: {by: session}\nvalidation: {by: speaker}": "drawn by speaker from the training part",
    "folds: {by: session}": "drawn by dialogue from the training part",
    "folds: {by: session}\nvalidation: {fold: next}": "the fold after the test fold, as mine says",
    "folds: {by: speaker}\nvalidation: {same: session}": "what has the session of the test part and does not test",
    "folds: {by: session}\nvalidation: {values: {1: 2, 2: 1}}": "the session that mine names for the test fold",
    "folds: {own: true}": "the part that mine names, else drawn by dialogue from the training part",
}


@pytest.mark.parametrize("rules", VALIDATES)
def test_reports_say_by_which_rule_of_the_protocol_weights_were_chosen(tmp_path: Path, rules: str) -> None:
    data = data_of(tmp_path, f"classes: {{angry: ang, sad: sad}}\n{rules}\n")
    assert named(data).validates(data).startswith(VALIDATES[rules])


def test_what_the_protocol_allows_to_leak_is_told_with_names(tmp_path: Path) -> None:
    utterances = [
        utterance(n, corpus="mine", speaker=("ann", "bob")[n % 2], split=("train", "dev", "test")[n % 3], label=label)
        for n, label in enumerate(["ang", "sad"] * 6)
    ]
    text = "classes: {angry: ang, sad: sad}\nfolds: {own: true}\n"
    with pytest.raises(UserError, match="2 speakers are in train and in test: ann, bob"):
        protocol_of(data := data_of(tmp_path, text), utterances).split(utterances, data)
    data = data_of(tmp_path, text + "shared: {speaker: test}\n")
    told = protocol_of(data, utterances).told(utterances, data)
    assert "2 speakers are in train and in test, as mine allows: ann, bob" in told


def test_the_weight_of_a_corpus_that_is_left_out_repeats_no_other(tmp_path: Path) -> None:
    utterances = both()
    data = data_of(tmp_path, TWO.replace("weight: WEIGHT", "weight: 0.5"), test_fold="meld")
    train = np.array([n for n, one in enumerate(utterances) if one.corpus != "meld"])
    assert protocol_of(data, utterances).repeated(utterances, train).tolist() == train.tolist()


SOME = """
classes: {angry: ang, sad: sad}
folds: {by: session, values: {1: 1, 2: 2}OTHERS}
shared: {speaker: validation}
"""


def test_utterances_in_no_fold_are_named_unless_the_protocol_says_what_they_do(tmp_path: Path) -> None:
    utterances = iemocap()
    data = data_of(tmp_path, SOME.replace("OTHERS", ""), test_fold=1)
    with pytest.raises(UserError, match=r"\d+ utterances are in no fold: u"):
        protocol_of(data, utterances).split(utterances, data)
    for others, sessions in (("train", {2, 3, 4, 5}), ("leave_out", {2})):
        data = data_of(tmp_path, SOME.replace("OTHERS", f", others: {others}"), test_fold=1)
        parts = parts_of(data, utterances)
        assert {one.session for one in parts["train"]} | {one.session for one in parts["validation"]} == sessions


def test_a_fold_that_does_not_exist_is_told_those_that_do() -> None:
    with pytest.raises(
        UserError, match=r"data\.test_fold: 5 is not a fold of iemocap4-loso; use one of ses01f, ses01m"
    ):
        parts_of(DataConfig(protocol="iemocap4-loso"), iemocap())


def test_the_definition_stays_with_the_run_and_goes_with_another_protocol(tmp_path: Path) -> None:
    from dual_hpc.config import save_config

    text = MERGED + "shared: {speaker: validation}\n"
    data = data_of(tmp_path, text)
    config = load_config(None, [f"data.protocol={tmp_path / 'mine.yaml'}"])
    save_config(config, tmp_path / "config.yaml")
    (tmp_path / "mine.yaml").unlink()
    again = load_config(tmp_path / "config.yaml")
    assert again.data == config.data and again.data.protocol_definition == data.protocol_definition
    assert protocol_of(again.data, iemocap()).classes == ("bad", "good")
    assert load_config(tmp_path / "config.yaml", ["data.protocol=iemocap6"]).data.protocol_definition == {}
