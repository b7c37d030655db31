"""Corpora with a table of labels: published counts, what a row says, and what damage costs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import get_protocol
from shards.corpora import CORPORA, corpus_of, read_corpus
from shards.corpora.clip_table import CH_SIMS, CH_SIMS2, CMU_MOSEI, ClipTable
from shards.corpora.fold_lists import DFEW, MAFW, FoldLists
from shards.corpora.fold_lists import read as read_lists
from shards.plan import Plan
from shards.synthetic.tables import write_clip_table, write_fold_lists, write_msp_improv
from tests.unit.shards.corpora.places import NO_FILE
from tests.unit.shards.corpora.test_msp_podcast import release, rows

CLIPS = {one.name: one for one in (CMU_MOSEI, CH_SIMS, CH_SIMS2)}
LISTS = {one.name: one for one in (DFEW, MAFW)}
FEW = {"train": 12, "dev": 6, "test": 6}
TURNS = {"angry": 792, "happy": 2644, "sad": 885, "neutral": 3477, "other": 85, "no agreement": 555}


def utterances_of(plan: Plan) -> list[Utterance]:
    return [Utterance(key=one.key, duration=1.0, **one.fields) for one in plan.utterances]


def small(name: str, folder: Path) -> tuple[Path, int]:
    """A release of the corpus: its table, and how many utterances it has."""
    if name in CLIPS:
        write_clip_table(folder, CLIPS[name], FEW, b"x")
        return folder / "label.csv", 24
    if name in LISTS:
        write_fold_lists(folder, LISTS[name], [[0, *[1] * 5, *[0] * (len(LISTS[name].labels) - 6)]] * 5, b"x")
        return folder / LISTS[name].test_list.format(fold=1), 25
    if name == "msp_improv":
        write_msp_improv(folder, dict.fromkeys(TURNS, 8), b"x")
        return folder / "Evalution.txt", 48
    release(folder, rows())
    return folder / "Labels" / "labels_consensus.csv", 24


@pytest.mark.parametrize("corpus", [CH_SIMS, CH_SIMS2], ids=lambda one: one.name)
def test_a_skeleton_has_the_published_parts(tmp_path: Path, corpus: ClipTable) -> None:
    write_clip_table(tmp_path, corpus, corpus.published, b"x")
    utterances = utterances_of(read_corpus(corpus.name, tmp_path))
    assert corpus_of(corpus.name).differences(corpus_of(corpus.name).count(utterances)) == {}


def test_the_parts_of_cmu_mosei_are_22856_clips() -> None:
    assert sum(CMU_MOSEI.published.values()) == 22856
    assert corpus_of("cmu_mosei").differences({"split train": 16326, "split dev": 1871, "split test": 4659}) == {}


def test_msp_improv_s_turns_are_those_published(tmp_path: Path) -> None:
    write_msp_improv(tmp_path, TURNS, b"x")
    plan = read_corpus("msp_improv", tmp_path)
    utterances = utterances_of(plan)
    corpus = corpus_of("msp_improv")
    assert corpus.differences(corpus.count(utterances)) == {} and plan.skips == []
    assert len({one.speaker for one in utterances}) == 12
    parts = get_protocol("msp-improv4", utterances).split(utterances, DataConfig(protocol="msp-improv4", test_fold=2))
    sessions = {part: {utterances[number].session for number in numbers} for part, numbers in parts.items()}
    assert sessions == {"train": {1, 4, 5, 6}, "validation": {3}, "test": {2}}
    assert sum(map(len, parts.values())) == 7798


def test_a_turn_of_msp_improv_has_ratings_raters_text_and_who_speaks(tmp_path: Path) -> None:
    small("msp_improv", tmp_path)
    plan = read_corpus("msp_improv", tmp_path)
    first = utterances_of(plan)[0]
    assert first.key == "MSP-IMPROV-S01A-F01-P-FM00" and plan.utterances[0].text == "how can I not"
    assert (first.session, first.speaker, first.label, first.scripted) == (1, "F01", "angry", False)
    assert (first.arousal, first.valence, first.dominance) == (1.0, 3.5, None)
    assert first.votes is not None and [vote.labels for vote in first.votes] == [("angry",)] * 2
    assert [vote.arousal for vote in first.votes] == [1.0, 2.0]
    assert first.attributes == {"gender": "female", "scenario": "P"}


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_has_its_score_its_sign_and_its_part(tmp_path: Path, name: str) -> None:
    small(name, tmp_path)
    plan = read_corpus(name, tmp_path)
    found = {one.key: one for one in utterances_of(plan)}
    one = found[f"{name}_-train_0000_1"]
    assert (one.label, one.valence, one.split) == ("negative", -CLIPS[name].most, "train")
    assert found[f"{name}_-train_0000_6"].label == "neutral" and plan.utterances[1].text == 'well, "yes"'
    assert (one.attributes is None) == (name == "cmu_mosei") and plan.utterances[0].text == "好的"
    protocol = CORPORA.get(name).protocols[0]
    parts = get_protocol(protocol, list(found.values())).split(list(found.values()), DataConfig(protocol=protocol))
    assert {part: len(numbers) for part, numbers in parts.items()} == {"train": 12, "validation": 6, "test": 6}
    assert plan.utterances[0].audio == plan.utterances[0].video


@pytest.mark.parametrize("corpus", [DFEW, MAFW], ids=lambda one: one.name)
def test_the_five_published_folds_test_each_clip_once(tmp_path: Path, corpus: FoldLists) -> None:
    write_fold_lists(tmp_path, corpus, corpus.counts, b"x")
    plan = read_corpus(corpus.name, tmp_path)
    utterances, (name,), clips = utterances_of(plan), corpus.protocols, sum(map(sum, corpus.counts))
    assert corpus_of(corpus.name).differences(corpus_of(corpus.name).count(utterances)) == {} and plan.skips == []
    assert {one.label for one in utterances} == set(get_protocol(name, utterances).classes)
    assert any("clips are in no list" in note for note in plan.notes)
    tested = []
    for fold in get_protocol(name, utterances).folds:
        parts = get_protocol(name, utterances).split(utterances, DataConfig(protocol=name, test_fold=fold))
        assert {(utterances[number].attributes or {})["fold"] for number in parts["test"]} == {str(fold)}
        assert parts["validation"] and sum(map(len, parts.values())) == clips
        tested += parts["test"]
    assert sorted(tested) == list(range(clips)) and clips == {"dfew": 11_697, "mafw": 9_172}[corpus.name]


@pytest.mark.parametrize("corpus", [DFEW, MAFW], ids=lambda one: one.name)
def test_lists_that_are_not_those_published_are_told(tmp_path: Path, corpus: FoldLists) -> None:
    small(corpus.name, tmp_path)
    plan = read_corpus(corpus.name, tmp_path)
    assert any("the test lists of fold 1, 2, 3, 4, 5 of" in note and "sha256" in note for note in plan.notes)
    keys = [
        sorted(one.key for one in utterances_of(plan) if (one.attributes or {})["fold"] == str(n)) for n in range(1, 6)
    ]
    theirs = tuple(hashlib.sha256("\n".join(fold).encode()).hexdigest() for fold in keys)
    published = dataclasses.replace(corpus, digests=theirs)
    assert not any("sha256" in note for note in read_lists(published, tmp_path).notes)
    lost = next((tmp_path / "data" / "clips").glob("*.mp4"))
    lost.unlink()  # a recording that is not there changes no list
    assert not any("sha256" in note for note in read_lists(published, tmp_path).notes)


OF_LISTS = {
    "dfew": {"1,2": ("99999,2", "x,2", "../1,2", "1,8", "1,0", "1,happy", "1,", ",2", "1", "-1,2", "123456,2")},
    "mafw": {
        "00001.mp4 disgust": (
            *("99999.mp4 disgust", "x.mp4 disgust", "../1.mp4 disgust", "00001.mp4 joy", "00001.mp4", "disgust"),
            *(
                "00001.mp4,disgust",
                "00001 disgust",
                "00001.mp4 disgust fear",
                "-0001.mp4 disgust",
                "1234567.mp4 disgust",
            ),
        )
    },
}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [(name, before, after) for name, rows in OF_LISTS.items() for before, some in rows.items() for after in some],
)
def test_a_damaged_line_of_a_list_costs_its_clip_alone(tmp_path: Path, name: str, before: str, after: str) -> None:
    path, count = small(name, tmp_path)
    text = path.read_text()
    assert f"{before}\n" in text
    path.write_text(text.replace(f"{before}\n", f"{after}\n", 1))
    plan = read_corpus(name, tmp_path)
    shown = path.relative_to(tmp_path).as_posix()
    assert len(plan.utterances) == count - 1
    assert [skip.where for skip in plan.skips] == [f"{shown}:{2 if name == 'dfew' else 1}"]


def test_a_list_of_dfew_without_a_column_is_refused(tmp_path: Path) -> None:
    path, _ = small("dfew", tmp_path)
    path.write_text(path.read_text().replace("label", "emotion", 1))
    with pytest.raises(UserError, match=r"is not a list of DFEW: the column label is missing \(line 1\)"):
        read_corpus("dfew", tmp_path)


def test_pickled_labels_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "CMU_MOSEI_Labels.csd").write_bytes(b"\x89HDF")
    with pytest.raises(UserError, match=r"has no labels \(CMU_MOSEI_Labels\.csd is not read.*Add the label\.csv"):
        read_corpus("cmu_mosei", tmp_path)


NAMES = [*CLIPS, *LISTS, "msp_improv", "msp_podcast"]


@pytest.mark.parametrize("name", NAMES)
def test_of_two_rows_of_one_utterance_the_first_is_taken_and_the_other_told(tmp_path: Path, name: str) -> None:
    table, count = small(name, tmp_path)
    data = table.read_bytes()
    table.write_bytes(data + data.split(b"\n", 1)[1])
    plan = read_corpus(name, tmp_path)
    assert len(plan.utterances) == count and len(plan.skips) == {"mafw": 4, "dfew": 5}.get(name, count)
    assert all(skip.utterance is None for skip in plan.skips)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", NO_FILE)
def test_a_table_that_is_no_file_is_told_as_missing(tmp_path: Path, name: str, place: str) -> None:
    table, _ = small(name, tmp_path)
    NO_FILE[place](table)
    with pytest.raises(UserError, match=r"has no labels( of fold 1)?\. Add "):
        read_corpus(name, tmp_path)


MEDIA: dict[str, Callable[[Path], None]] = {
    **NO_FILE,
    "another ending": lambda path: (path.rename(path.with_suffix(".part")), None)[1],
    "another name": lambda path: (path.rename(path.with_name("other.wav")), None)[1],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", MEDIA)
def test_a_recording_that_is_not_there_costs_its_utterance_alone(tmp_path: Path, name: str, damage: str) -> None:
    _, count = small(name, tmp_path)
    lost = read_corpus(name, tmp_path).utterances[3]
    assert lost.audio is not None
    MEDIA[damage](lost.audio.path)
    plan = read_corpus(name, tmp_path)
    assert len(plan.utterances) == count - 1 and len(plan.skips) == 1
    assert lost.key in plan.skips[0].reason or f"clip {int(lost.key[-5:])} " in plan.skips[0].reason
    assert "absent" in plan.skips[0].reason or "exists" in plan.skips[0].reason


ROWS = {
    "no clip": ("-train_0000,1,", ",,"),
    "another clip": ("-train_0000,1,", "-train_0000,77,"),
    "a clip that climbs": ("-train_0000,1,", "../x,1,"),
    "no score": (",-S,", ",,"),
    "a word for a score": (",-S,", ",bad,"),
    "a score beyond the scale": (",-S,", ",-9,"),
    "a score that is no number": (",-S,", ",nan,"),
    "another part": ("Negative,train", "Negative,holdout"),
    "no part": ("Negative,train", "Negative,"),
    "too few columns": (",Negative,train", ",train"),
    "too many columns": (",Negative,train", ",Negative,train,more"),
}


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("damage", ROWS)
def test_a_damaged_row_costs_its_clip_alone_and_is_told_with_its_line(tmp_path: Path, name: str, damage: str) -> None:
    table, count = small(name, tmp_path)
    before, after = (text.replace("S", str(CLIPS[name].most)) for text in ROWS[damage])
    content = table.read_bytes().decode()
    assert before in content
    table.write_bytes(content.replace(before, after, 1).encode())
    plan = read_corpus(name, tmp_path)
    assert len(plan.utterances) == count - 1 and [skip.where for skip in plan.skips] == ["label.csv:2"]


@pytest.mark.parametrize("missing", ["video_id", "clip_id", "text", "label", "mode"])
def test_a_table_without_a_column_is_refused_with_its_name(tmp_path: Path, missing: str) -> None:
    table, _ = small("ch_sims", tmp_path)
    header, rest = table.read_text().split("\n", 1)
    named = ",".join("other" if column == missing else column for column in header.strip().split(","))
    table.write_text(f"{named}\n{rest}")
    with pytest.raises(UserError, match=rf"is not a table of CH-SIMS: the column {missing} is missing \(line 1\)"):
        read_corpus("ch_sims", tmp_path)
