"""Errors come at the asked rate, add up as the rate rises, and survive the way through token ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.tokenize import tokenize
from dual_hpc.evaluation.perturbations.word_errors import add_word_errors, with_errors
from dual_hpc.model import build_tokenizer

WORDS = [f"w{n}" for n in range(2000)]
TEXTS = ["so it goes , and it never stops !", None, "zebra goes", "it", "?"]


def edits(before: list[str], after: list[str]) -> int:
    row = list(range(len(after) + 1))
    for n, word in enumerate(before, start=1):
        diagonal, row[0] = row[0], n
        for m, other in enumerate(after, start=1):
            diagonal, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, diagonal + (word != other))
    return row[-1]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.6])
def test_the_word_error_rate_is_the_one_asked_for(rate):
    words = WORDS[:600]
    after = with_errors(words, rate, ["x", "y"], np.random.default_rng(0))
    assert edits(words, after) / len(words) == pytest.approx(rate, abs=0.05)


def test_an_error_is_a_substitution_a_deletion_or_an_insertion():
    found = {tuple(with_errors(["so"], 1, ["x"], np.random.default_rng(seed))) for seed in range(60)}
    assert found == {("x",), (), ("so", "x")}


@given(st.lists(st.sampled_from(["so", "it", "goes", ",", "...", "é"]), max_size=12), st.integers(0, 99))
def test_an_error_at_one_rate_is_there_at_every_higher_one(words, seed):
    at = [edits(words, with_errors(words, rate, ["zz"], np.random.default_rng(seed))) for rate in (0, 0.3, 0.6, 1)]
    assert at[0] == 0 and at == sorted(at)
    assert [word for word in with_errors(words, 1, ["zz"], np.random.default_rng(seed)) if word in ",..."] == [
        word for word in words if word in ",..."
    ]


@pytest.fixture(scope="module")
def batch():
    tokenizer = build_tokenizer([text for text in TEXTS if text and "zebra" not in text], minimum_count=1)
    arrays = tokenize(TEXTS, tokenizer, 16)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return tokenizer, {**tensors, "keys": [f"u{n}" for n in range(len(TEXTS))]}


def test_without_errors_the_ids_come_back_as_they_were(batch):
    tokenizer, before = batch
    after = add_word_errors(before, 0.0, 0, tokenizer, 16)
    assert torch.equal(after["input_ids"], before["input_ids"])
    assert torch.equal(after["attention_mask"], before["attention_mask"])


def test_missing_text_stays_missing_and_the_same_seed_gives_the_same_words(batch):
    tokenizer, before = batch
    one, same, other = (add_word_errors(before, 0.8, seed, tokenizer, 16)["input_ids"] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not (one.shape == other.shape and torch.equal(one, other))
    for seed in range(20):
        mask = add_word_errors(before, 1.0, seed, tokenizer, 16)["attention_mask"]
        assert not mask[1].any() and mask.shape[1] <= 16 and mask.any()
