"""RAVDESS's recordings by a synthesiser: the release's forms, and what an emotion sets can be measured."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shards.corpora import read_corpus
from shards.synthetic.named import ravdess_names
from shards.synthetic.ravdess_speech import ESPEAK, LOWER, RECORDED, Voice, by_espeak, by_formants, write_ravdess

VOICES: list[Callable[..., object]] = [
    by_formants,
    pytest.param(
        by_espeak, marks=pytest.mark.skipif(shutil.which(ESPEAK) is None, reason=f"{ESPEAK} is not installed")
    ),  # type: ignore[list-item]
]
EVERY = ravdess_names()


def level(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples**2))))


def pitch(samples: np.ndarray, rate: int) -> float:
    """Median F0 in Hz of the loud frames: where five harmonics together are strongest."""
    width, bins, found = rate // 10, 1 << 17, []
    candidates = np.arange(70, 450, 2.0)
    harmonics = (candidates[:, None] * np.arange(1, 6) * bins / rate).astype(int)
    for at in range(0, len(samples) - width, width // 2):
        frame = samples[at : at + width]
        if np.mean(frame**2) > np.mean(samples**2):
            spectrum = np.log(np.abs(np.fft.rfft(frame * np.hanning(width), bins)) + 1e-9)
            found.append(candidates[spectrum[harmonics].sum(axis=1).argmax()])
    return float(np.median(found))


def test_the_release_s_forms_are_those_of_its_facts(tmp_path: Path) -> None:
    some = [*EVERY[::12], EVERY[48], EVERY[65], EVERY[145], EVERY[196]]
    count = write_ravdess(tmp_path, by_formants, dict.fromkeys(some))
    plan = read_corpus("ravdess", tmp_path)
    assert count == len(plan.utterances) == len(set(some)) and plan.notes == [] and plan.skips == []
    infos = [soundfile.info(one.audio.path) for one in plan.utterances if one.audio]
    rates, channels = Counter(one.samplerate for one in infos), Counter(one.channels for one in infos)
    assert set(rates) == {RECORDED, LOWER} and rates[RECORDED] > 10 * rates[LOWER]
    assert set(channels) == {1, 2} and channels[1] > 10 * channels[2]
    levels = [level(soundfile.read(one.audio.path)[0]) for one in plan.utterances if one.audio]
    assert np.mean(levels) == pytest.approx(-41, abs=1.5) and max(levels) < -30


@pytest.mark.parametrize("voice", VOICES)
def test_an_emotion_is_heard_in_pitch_and_rate_and_in_the_latter_its_strong_form_more(
    tmp_path: Path, voice: Voice
) -> None:
    names = {
        f"{emotion} {strength}": f"Actor_04/03-01-{number}-0{strength}-01-01-04.wav"
        for emotion, number in (("sad", "04"), ("fearful", "06"))
        for strength in (1, 2)
    }
    write_ravdess(tmp_path, voice, names.values())
    heard = {what: soundfile.read(tmp_path / name) for what, name in names.items()}
    f0 = {what: pitch(samples, rate) for what, (samples, rate) in heard.items()}
    seconds = {what: len(samples) / rate for what, (samples, rate) in heard.items()}
    assert 1.2 * f0["sad 1"] < f0["fearful 1"]
    assert seconds["sad 2"] > seconds["sad 1"] > seconds["fearful 1"] > seconds["fearful 2"]


@pytest.mark.parametrize("voice", VOICES)
def test_the_same_seed_gives_the_same_recording_and_each_actor_a_voice_of_his_own(tmp_path: Path, voice: Voice) -> None:
    names = [f"Actor_{actor}/03-01-01-01-01-01-{actor}.wav" for actor in ("01", "02", "13", "24")]
    for place in ("one", "other"):
        write_ravdess(tmp_path / place, voice, names)
    contents = [(tmp_path / "one" / name).read_bytes() for name in names]
    assert contents == [(tmp_path / "other" / name).read_bytes() for name in names] and len(set(contents)) == 4
