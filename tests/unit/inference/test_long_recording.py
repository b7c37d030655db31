"""Half an hour of speech with known emotions and turns: right where single clips are, in the memory of a minute."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.recording.joined import Turn, write_recording
from benchmarks.recording.measure import Answered, predict, right_windows, single_clips, subtitles, train_model

# Minutes, of a training and of 1,200 windows twice.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(10_800),  # half an hour on two cores that do nothing else
    pytest.mark.skipif(os.environ.get("DUAL_LONG_RECORDING") != "1", reason="takes minutes: make long-recording"),
]
WINDOW = ("--window", 3, "--hop", 1.5)
Talks = dict[str, tuple[Path, list[Turn]]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_model(tmp_path_factory.mktemp("trained"), clips=224, epochs=25)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Talks:
    """ "long" and "short": the folder of talk.mp4, talk.wav and talk.rttm, and the turns."""
    found: Talks = {}
    for name, seconds in (("long", 1800.0), ("short", 54.0)):
        folder = tmp_path_factory.mktemp(name)
        found[name] = (folder, write_recording(folder, seconds))
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".wav"])
def test_windows_are_right_where_single_clips_are_in_the_memory_of_a_minute(
    model: Path, talks: Talks, tmp_path: Path, suffix: str
) -> None:
    answered: dict[str, Answered] = {}
    files = [tmp_path / f"talk{ending}" for ending in (".png", ".srt", ".vtt", ".json", ".csv")]
    for name, (folder, _) in talks.items():
        drawn = files if name == "long" else [tmp_path / "short.png"]
        talk = (folder / "talk").with_suffix(suffix)
        answered[name] = predict(model, talk, tmp_path / f"{name}.jsonl", *WINDOW, "--timeline", *drawn)
    peaks = {name: one.peak for name, one in answered.items()}
    print(f"{suffix}: peak memory {peaks['long']:.0f} MiB, of a minute {peaks['short']:.0f} MiB")
    assert peaks["long"] <= 1.3 * peaks["short"]
    turns = talks["long"][1]
    known = single_clips(model, turns, suffix)
    right, count = right_windows(answered["long"].records, turns, known, 0.9)
    print(
        f"{suffix}: {sum(known)} of {len(known)} clips right; {right} of {count} windows of these, {right / count:.1%}"
    )
    assert sum(known) > 0.5 * len(known) and count > 200 and right >= 0.9 * count
    counted = [subtitles(path) for path in files[1:3]]  # -1: this machine has no ffprobe
    assert all(count == -1 or count > 100 for count in counted)


def test_turns_by_rttm_are_the_single_clips(model: Path, talks: Talks, tmp_path: Path) -> None:
    folder, turns = talks["long"]
    asked = ("--window", 6, "--turns", folder / "talk.rttm")
    answered = predict(model, folder / "talk.mp4", tmp_path / "turns.jsonl", *asked)
    assert [record["speaker"] for record in answered.records if record["start"] in {t.start for t in turns}] == [
        turn.speaker for turn in turns
    ]
    right, count = right_windows(answered.records, turns, single_clips(model, turns, ".mp4"), 0.9)
    print(f"turns by RTTM: {right} of {count} right, {right / count:.1%}")
    assert right >= 0.9 * count
