"""A partner has another label; everything that is not the swapped modality stays the utterance's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.evaluation.controls import CONTROLS, mismatched, partners

rows = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=9)


@given(rows)
def test_a_partner_is_the_next_one_that_is_able_and_has_another_label(drawn: list[tuple[int, bool]]) -> None:
    labels, able = (torch.tensor(column) for column in zip(*drawn, strict=True))
    size = len(drawn)
    for row, partner in enumerate(partners(labels, able).tolist()):
        following = [(row + n) % size for n in range(1, size)]
        fits = [other for other in following if able[other] and labels[other] != labels[row]]
        assert partner == (fits[0] if fits else -1)


def batch_of(size: int, features: bool) -> dict[str, Any]:
    number = torch.arange(1, size + 1)
    if features:
        names = ("audio", "video", "text")
        content = {name: number[:, None, None].expand(size, 2, 3).float() for name in names}
        return content | {f"{name}_lengths": number.clone() for name in names}
    return {
        "waveform": number[:, None].expand(size, 4).float(),
        "waveform_lengths": number.clone(),
        "frames": number[:, None, None, None, None].expand(size, 2, 3, 2, 2).to(torch.uint8),
        "frame_lengths": number.clone(),
        "input_ids": number[:, None].expand(size, 5),
        "attention_mask": torch.ones(size, 5, dtype=torch.long),
    }


OWN = {"v": ("waveform", "audio"), "t": ("waveform", "frames", "audio", "video")}
OTHER = {"v": ("frames", "frame_lengths", "video", "video_lengths"), "t": ("input_ids", "text", "text_lengths")}


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("name", CONTROLS)
def test_only_the_swapped_modality_is_another_utterances(name: str, features: bool) -> None:
    shown, swapped = CONTROLS[name]
    batch = batch_of(5, features) | {
        "labels": torch.tensor([0, 0, 1, 1, -100]),
        "valid": torch.tensor([True, True, True, True, False]),
        "durations": torch.arange(5.0),
    }
    lacking = {"v": ("frame_lengths", "video_lengths"), "t": ("attention_mask", "text_lengths")}[swapped]
    for key in lacking:
        if key in batch:
            batch[key][3] = 0
    seen = mismatched(batch, shown, swapped)
    assert seen["valid"].tolist() == [True, True, True, False, False]
    assert torch.equal(seen["labels"], batch["labels"]) and torch.equal(seen["durations"], batch["durations"])
    for key in set(OWN[swapped]) & batch.keys():
        assert torch.equal(seen[key], batch[key])
    for key in set(OTHER[swapped]) & batch.keys():
        assert torch.equal(seen[key][:3], batch[key][torch.tensor([2, 2, 0])])
    if "t" not in shown:
        assert not any(seen[key].any() for key in ("input_ids", "attention_mask", "text") if key in seen)
