"""One part of an utterance is gone: as long as asked for, in one piece, and the same part at every higher rate."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.evaluation.perturbations.erasure import erase_audio, erase_video, erase_words, span
from dual_hpc.model import build_tokenizer

KEYS = ["a", "b", "c"]
RATES = (0.1, 0.3, 0.5, 0.7, 0.9)


@given(st.integers(0, 500), st.text("abc", min_size=1, max_size=5))
def test_what_is_gone_grows_to_both_sides(size: int, key: str) -> None:
    spans = [span(size, rate, 0, key) for rate in (0.0, *RATES, 1.0)]
    assert spans[0][0] == spans[0][1] and spans[-1] == (0, size)
    for (first, last), (wider_first, wider_last) in pairwise(spans):
        assert wider_first <= first and last <= wider_last <= size


@pytest.mark.parametrize("rate", RATES)
def test_sound_is_silent_in_one_piece_within_its_length(rate: float) -> None:
    waveform = torch.ones(3, 1000)
    batch = {"keys": KEYS, "waveform": waveform, "waveform_lengths": torch.tensor([1000, 400, 0])}
    silent = erase_audio(batch, rate, 0)["waveform"] == 0
    assert silent.sum(1).tolist() == pytest.approx([1000 * rate, 400 * rate, 0], abs=1)
    changes = (silent[:, 1:] != silent[:, :-1]).sum(1)
    assert changes.max() <= 2 and not silent[1, 400:].any()
    assert torch.equal(waveform, torch.ones(3, 1000))  # what was given stays as it is


def test_frames_are_grey_where_they_are_gone() -> None:
    batch = {"keys": KEYS, "frames": torch.zeros(3, 10, 3, 4, 4, dtype=torch.uint8)}
    seen = erase_video({**batch, "frame_lengths": torch.tensor([10, 6, 0])}, 0.5, 0)["frames"]
    assert (seen == 128).all(dim=(2, 3, 4)).sum(1).tolist() == [5, 3, 0]
    assert not seen[1, 6:].any()


def test_words_are_missing_and_the_others_keep_their_order() -> None:
    words = ["so", "it", "never", "goes", "on", "and", "on", "until", "we", "stop"]
    tokenizer = build_tokenizer([" ".join(words)], minimum_count=1)
    given_ = tokenizer([" ".join(words)] * 3, return_tensors="pt")
    batch = {"keys": KEYS, "input_ids": given_["input_ids"], "attention_mask": given_["attention_mask"]}
    seen = erase_words(batch, 0.5, 0, tokenizer, 16)
    assert seen["attention_mask"].sum(1).tolist() == [batch["attention_mask"][0].sum() - 5] * 3
    assert erase_words(batch, 1.0, 0, tokenizer, 16)["attention_mask"].sum() == 0
