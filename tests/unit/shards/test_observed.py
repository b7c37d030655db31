"""Sentences about samples: each counts the samples that have what it says, and no others."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dual_hpc.data.format.sample import Utterance
from shards.observed import named, observed, without

OPTIONS = {"max_seconds": "40.0"}
RECORDED = {  # option of a sample -> words of the sentence about it
    "ends_early": "end before the annotated end",
    "annotated_seconds": "length differs from the annotation's by more than a second",
    "header_seconds": "header says more than a second more than could be read",
    "audio_seconds": "audio and video whose lengths differ by more than a second",
    "single_picture": "a video of a single picture",
    "unused_audio": "sound that the corpus does not name",
    "unused_video": "pictures that the corpus does not name",
    "no_audio_in_source": "a file named for its audio that holds none",
    "no_video_in_source": "a file named for its video that holds none",
    "no_center": "no front centre channel",
    "concealed": "damaged frames that the decoder concealed",
    "audio_silence": "gaps in their audio",
    "audio_overlap": "audio time stamps that overlap",
    "audio_restarts": "audio whose time stamps jump back",
    "video_restarts": "pictures whose time stamps jump back",
    "audio_cancelled": "channels in opposite phase",
    "resized": "pictures whose size changes",
}


def sample(number: int, duration: float = 1.0, **rest: Any) -> Utterance:
    fields = {"corpus": "mine", "dialogue": "d", "utterance": 0, "speaker": "s"}
    return Utterance(key=f"k{number}", **fields, duration=duration, **rest)


@pytest.mark.parametrize("option", RECORDED)
def test_what_packing_recorded_is_counted(option: str) -> None:
    samples = [sample(0, options={option: "1.5"}), sample(1), sample(2, options={option: "2"})]
    (said,) = observed(samples)
    assert said.startswith("2 samples have ") and RECORDED[option] in said
    assert observed([sample(1)]) == []


def test_cut_short_and_clipped_samples_are_counted_apart() -> None:
    samples = [
        sample(0, options={"cut_from": "305.000"}, duration=40.0),
        sample(1, options={"cut_from": "unknown"}, duration=40.0),
        sample(2, duration=0.199),
        sample(3, duration=0.2, clipped=0),
        sample(4, clipped=7),
        sample(5, clipped=5),
    ]
    assert [re.sub(r"\(.*\)", "", said).strip() for said in observed(samples)] == [
        "1 samples are longer than --max-seconds and were cut",
        "1 samples fill --max-seconds, and their files do not say whether more follows",
        "1 samples are shorter than 0.2 s",
        "2 samples have audio beyond full scale: 12 audio samples were clipped",
    ]
    assert named(samples, OPTIONS) == {
        "k0": ["lasts 305.000 s, cut at --max-seconds (40.0 s)"],
        "k1": ["fills --max-seconds (40.0 s); its file does not say whether more follows"],
        "k2": ["lasts 0.199 s, less than 0.2 s"],
    }


def test_faces_are_a_mean_over_samples_and_hardly_any_is_not_none() -> None:
    samples = [sample(n, options={"faces": share}) for n, share in enumerate(("1.0000", "0.5000", "0.0040", "0.0000"))]
    assert observed(samples) == [
        "a face is known in 38% of a video's pictures, as the mean over samples; in 1 samples in none"
    ]


def test_a_modality_that_few_lack_is_named_and_one_that_most_lack_is_not() -> None:
    samples = [sample(n, has_text=False, has_video=n > 0) for n in range(4)]
    assert without(samples) == {"audio": 0, "video": 1, "text": 4}
    assert named(samples, OPTIONS) == {"k0": ["has no video"]}
