"""Modalities of a batch: which rows have one, and a batch without some of them."""

from __future__ import annotations

import torch

from dual_hpc.data.modality_mask import has_modality, mask_except
from dual_hpc.modality import Modality

MEDIA = {
    "waveform": torch.ones(3, 5),
    "waveform_lengths": torch.tensor([5, 0, 2]),
    "frames": torch.ones(3, 2, 3, 4, 4, dtype=torch.uint8),
    "frame_lengths": torch.tensor([0, 2, 1]),
    "input_ids": torch.ones(3, 4, dtype=torch.int64),
    "attention_mask": torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]),
}
FEATURES = {
    **{f"{name}_lengths": torch.tensor(lengths) for name, lengths in (("audio", [1, 0, 1]), ("text", [0, 3, 1]))},
    "input_ids": torch.zeros(3, 0, dtype=torch.int64),  # a batch of features carries them too, empty
    "attention_mask": torch.zeros(3, 0, dtype=torch.int64),
}


def test_rows_have_a_modality_as_media_or_as_features() -> None:
    assert {m.letter: has_modality(MEDIA, m).tolist() for m in Modality} == {
        "a": [True, False, True],
        "v": [False, True, True],
        "t": [True, False, True],
    }
    assert has_modality(FEATURES, Modality.AUDIO).tolist() == [True, False, True]
    assert has_modality(FEATURES, Modality.TEXT).tolist() == [False, True, True]


def test_what_is_not_kept_is_gone_and_the_rest_untouched() -> None:
    kept = mask_except(MEDIA, "a")
    assert not has_modality(kept, Modality.VIDEO).any() and not has_modality(kept, Modality.TEXT).any()
    assert kept["waveform"] is MEDIA["waveform"] and kept["frames"].shape == MEDIA["frames"].shape
