"""The one table of modalities: letters, names and keys of a batch."""

from __future__ import annotations

import pytest

from dual_hpc.modality import ALL_MODALITIES, Modality, format_subset, parse_subset


def test_a_modality_is_written_as_its_name() -> None:
    assert [str(m) for m in Modality] == [f"{m}" for m in Modality] == ["audio", "video", "text"]
    assert Modality("video") is Modality.VIDEO and Modality.VIDEO == "video"
    assert {"use_audio", "use_video", "use_text"} == {f"use_{m}" for m in Modality}


def test_keys_of_a_batch_as_media_and_as_features() -> None:
    assert {m.letter: m.keys for m in Modality} == {
        "a": ("waveform", "waveform_lengths", "audio", "audio_lengths"),
        "v": ("frames", "frame_lengths", "video", "video_lengths"),
        "t": ("input_ids", "attention_mask", "text", "text_lengths"),
    }
    assert Modality.TEXT.length_keys == ("attention_mask", "text_lengths")


def test_subsets_are_letters_in_one_order() -> None:
    assert parse_subset("ta") == (Modality.AUDIO, Modality.TEXT)
    assert format_subset([Modality.TEXT, Modality.AUDIO]) == "at"
    assert ALL_MODALITIES == "avt" and parse_subset("") == ()


def test_an_unknown_letter_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'x' is not a valid modality; use one of a, v, t"):
        parse_subset("ax")
