from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest

from shards.synthetic.iemocap_plan import PUBLISHED, TOTAL, Dialogue, choose_dialogues, dialogue_names, plan

ID = re.compile(r"^Ses0([1-5])([FM])_(impro\d\d[ab]?|script\d\d_\d[b]?)_([FM])(\d{3})$")


@pytest.fixture(scope="module")
def full() -> list[Dialogue]:
    return plan(TOTAL, seed=0, balance=False, tiny=True)


def test_a_full_corpus_has_the_published_counts(full: list[Dialogue]) -> None:
    sessions = Counter(d.session for d in full for _ in d.turns)
    assert [sessions[s] for s in range(1, 6)] == [1819, 1811, 2136, 2103, 2170]
    labels = Counter(t.planned.label for d in full for t in d.turns)
    assert labels == dict(
        ang=1103, dis=2, exc=1041, fea=40, fru=1849, hap=595, neu=1708, oth=3, sad=1084, sur=107, xxx=2507
    )
    four = Counter(d.session for d in full for t in d.turns if t.planned.label in ("ang", "hap", "exc", "neu", "sad"))
    assert [four[s] for s in range(1, 6)] == [1085, 1023, 1151, 1031, 1241]
    assert Counter(d.session for d in full) == {1: 28, 2: 30, 3: 32, 4: 30, 5: 31}


def test_published_counts_add_up() -> None:
    assert sum(sum(counts.values()) for counts in PUBLISHED.values()) == TOTAL


def test_ids_are_unique_and_well_formed(full: list[Dialogue]) -> None:
    ids = [t.planned.id for d in full for t in d.turns]
    assert len(set(ids)) == TOTAL and all(ID.match(i) for i in ids)


def test_the_odd_names_exist_and_small_corpora_have_them() -> None:
    assert {"Ses03M_impro05a", "Ses03M_impro08b"} <= set(dialogue_names(3))
    assert "Ses05M_script01_1b" in choose_dialogues(5, 4)
    assert "Ses03M_impro05a" in choose_dialogues(3, 4)


@pytest.mark.parametrize("count", [2, 4, 8, 100])
def test_both_actors_and_both_kinds_are_recorded(count: int) -> None:
    names = choose_dialogues(2, count)
    assert {n[5] for n in names} == {"F", "M"} and {n[7] for n in names} == {"i", "s"}


def test_a_small_corpus_has_every_class_for_every_speaker() -> None:
    dialogues = plan(240, seed=1, balance=True, tiny=False)
    assert sum(len(d.turns) for d in dialogues) == 240
    found = Counter((t.planned.speaker, t.planned.label) for d in dialogues for t in d.turns)
    speakers = {speaker for speaker, _ in found}
    assert len(speakers) == 10
    for speaker in speakers:
        assert found[speaker, "hap"] + found[speaker, "exc"] >= 4
        assert min(found[speaker, label] for label in ("ang", "neu", "sad")) >= 5


def test_scripted_sentences_recur_across_sessions_and_improvised_ones_do_not(full: list[Dialogue]) -> None:
    sessions: dict[str, set[int]] = {}
    for d in full:
        for t in d.turns:
            sessions.setdefault(t.planned.text, set()).add(d.session)

    def share(scripted: bool) -> float:
        turns = [t for d in full if d.scripted is scripted for t in d.turns]
        return sum(len(sessions[t.planned.text]) > 1 for t in turns) / len(turns)

    assert abs(share(True) - 0.285) < 0.01 and share(False) < 0.008


def test_speakers_overlap_each_other_but_never_themselves() -> None:
    dialogues = plan(240, seed=0, balance=True, tiny=False)
    overlaps = 0
    for d in dialogues:
        for actor in "FM":
            own = [t for t in d.turns if t.actor == actor]
            assert all(a.end <= b.start for a, b in pairwise(own))
        overlaps += sum(a.end > b.start for a, b in pairwise(d.turns))
        assert max(t.end for t in d.turns) < d.seconds
    assert overlaps > 20


def test_the_plan_depends_on_the_seed_alone() -> None:
    assert plan(60, 5, True, False) == plan(60, 5, True, False)
    assert plan(60, 5, True, False) != plan(60, 6, True, False)
