"""Annotation sets of the corpora's full size, read as a user's would be: every published count is met."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.data.format.sample import Utterance
from dual_hpc.evaluation.protocols import get_protocol
from shards.corpora import CORPORA, read_corpus
from shards.plan import Plan
from shards.synthetic import generate
from tests.unit.shards.corpora.releases import NOT_COUNTED, UTTERANCES, whole

ROOT = Path(__file__).parents[3]


def read(corpus: str, utterances: int, folder: Path) -> Plan:
    generate(corpus, folder / corpus, utterances, media="tiny", balance=False)  # type: ignore[arg-type]
    return read_corpus(corpus, folder / corpus)


def metadata(plan: Plan) -> list[Utterance]:
    return [Utterance(key=p.key, **p.fields, duration=1.0) for p in plan.utterances]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_iemocap_has_its_published_counts_in_every_protocol(tmp_path: Path) -> None:
    plan = read("iemocap", 10_039, tmp_path)
    utterances = metadata(plan)
    assert len(utterances) == 10_039 and plan.skips == []
    corpus = CORPORA.get("iemocap")
    assert corpus.differences(corpus.count(utterances)) == {}
    assert any(note.startswith("48 transcribed turns with an XX id") for note in plan.notes)
    assert len({u.speaker for u in utterances}) == 10
    dialogues = {(u.session, u.dialogue) for u in utterances}
    assert Counter(session for session, _ in dialogues) == {1: 28, 2: 30, 3: 32, 4: 30, 5: 31}
    four, six = (get_protocol(name) for name in ("iemocap4", "iemocap6"))
    per_session = Counter(u.session for u in utterances if four.label_of(u) is not None)
    assert per_session == {1: 1085, 2: 1023, 3: 1151, 4: 1031, 5: 1241}
    assert sum(six.label_of(u) is not None for u in utterances) == 7380
    assert sum(p.actor == "named" for p in plan.utterances) > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_meld_has_its_published_counts(tmp_path: Path) -> None:
    plan = read("meld", 13_708, tmp_path)
    utterances = metadata(plan)
    # One clip of dev is absent; one of train cannot be read, which only decoding tells.
    assert [skip.reason for skip in plan.skips] == ["dia110_utt7: the clip is absent"]
    assert Counter(u.split for u in utterances) == {"train": 9989, "dev": 1108, "test": 2610}
    corpus = CORPORA.get("meld")
    differing = corpus.differences(corpus.count(utterances))
    assert len(differing) == 1 and all(group.startswith("dev ") and a - b == 1 for group, (a, b) in differing.items())
    assert all(get_protocol("meld7").label_of(u) is not None for u in utterances)
    assert [n for n in plan.notes if n.startswith("4 clips of dev")] and [
        n for n in plan.notes if n.startswith("137 clips of test")
    ]


def _marked(name: str) -> Any:
    """Tens of thousands of files take a while to write."""
    return pytest.param(name, marks=[pytest.mark.slow] if UTTERANCES[name] > 10_000 else [])


@pytest.mark.parametrize("name", [_marked(one) for one in UTTERANCES if one not in ("iemocap", "meld")])
def test_a_skeleton_of_the_whole_release_has_the_published_counts(name: str, tmp_path: Path) -> None:
    whole(name, tmp_path)
    plan, corpus = read_corpus(name, tmp_path), CORPORA.get(name)
    assert len(plan.utterances) == UTTERANCES[name] and plan.skips == []
    assert corpus.published and corpus.differences(corpus.count(metadata(plan))) == {}


def test_the_page_of_corpora_says_of_each_count_where_it_was_checked() -> None:
    rows = {
        line.split("|")[1].strip().strip("`"): line.split("|")
        for line in (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    }
    assert set(rows) == set(CORPORA.names()) - {"manifest"}
    for name, cells in rows.items():
        assert bool(CORPORA.get(name).published) == (name not in NOT_COUNTED)
        assert f"{UTTERANCES[name]:,}" in cells[2] if name in UTTERANCES else "not checked" in cells[2]
        assert cells[3].strip() and cells[4].strip()
