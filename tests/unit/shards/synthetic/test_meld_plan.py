from __future__ import annotations

from collections import Counter

import pytest

from shards.synthetic.meld_plan import DEFECTS, PUBLISHED, SHORTEST, TOTAL, plan


def test_a_full_corpus_has_the_published_counts() -> None:
    rows = plan(TOTAL, seed=0, balance=False, tiny=True, quirks=True)
    assert Counter(r.split for r in rows) == {"train": 9989, "dev": 1109, "test": 2610}
    for split, counts in PUBLISHED.items():
        assert Counter(r.planned.label for r in rows if r.split == split) == counts
    assert len({r.planned.id for r in rows}) == TOTAL
    assert not any((r.split, r.dialogue) == ("train", 60) for r in rows)
    assert {(r.split, r.dialogue, r.utterance) for r in rows} >= set(DEFECTS)


@pytest.mark.parametrize("utterances", [20, 60, 240])
def test_a_small_corpus_has_every_defect_and_balanced_classes(utterances: int) -> None:
    rows = plan(utterances, seed=0, balance=True, tiny=False, quirks=True)
    assert len(rows) == utterances == len({r.planned.id for r in rows})
    assert Counter(r.planned.quirk for r in rows if r.planned.quirk != "short")["long"] == 3
    assert {r.planned.quirk for r in rows} >= {"unreadable", "absent"}
    counts = Counter(r.planned.label for r in rows)
    assert len(counts) == 7 and max(counts.values()) - min(counts.values()) <= 3
    assert all(r.planned.duration > 20 for r in rows if r.planned.quirk == "long")


def test_short_clips_and_stereo_clips_exist() -> None:
    rows = plan(240, seed=0, balance=True, tiny=False, quirks=True)
    assert SHORTEST in {r.planned.duration for r in rows}
    assert {r.season for r in rows if r.stereo} == {8}
    assert 0 < sum(r.stereo for r in rows) < len(rows) / 3


def test_without_quirks_no_clip_is_defect() -> None:
    assert {r.planned.quirk for r in plan(100, 0, True, False, quirks=False)} == {""}
