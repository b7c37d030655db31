from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shards.synthetic.meld_plan import CONFUSABLE
from shards.synthetic.sentences import CUES, compose

EMOTION = st.sampled_from(CONFUSABLE)


def cues_in(text: str) -> set[str]:
    return {name for name, cues in CUES.items() if name in CONFUSABLE and any(cue in text for cue in cues)}


@given(EMOTION, st.integers(0, 10_000))
def test_redundant_text_names_the_emotion_and_uninformative_text_none(emotion: str, seed: int) -> None:
    assert emotion in cues_in(compose(np.random.default_rng(seed), emotion, "redundant", CONFUSABLE))
    assert cues_in(compose(np.random.default_rng(seed), emotion, "uninformative", CONFUSABLE)) == set()


@given(EMOTION, st.integers(0, 10_000))
def test_misleading_text_names_another_emotion_only(emotion: str, seed: int) -> None:
    named = cues_in(compose(np.random.default_rng(seed), emotion, "misleading", CONFUSABLE))
    assert named and emotion not in named


@given(EMOTION, st.integers(0, 10_000))
def test_a_sentence_has_five_or_more_words(emotion: str, seed: int) -> None:
    assert len(compose(np.random.default_rng(seed), emotion, "uninformative", CONFUSABLE).split()) >= 5
