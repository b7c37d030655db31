"""Recordings of any length, in windows: the answers are those of the stretches, the memory that of a few windows."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.errors import UserError
from dual_hpc.inference.batch import answer_all
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.recording import Recording, RecordingOptions
from dual_hpc.inference.requests import Clip, read_requests
from dual_hpc.inference.speaker_turns import Turn
from dual_hpc.inference.windows import Windowing
from launch.cli.main import main
from tests.unit.inference.conftest import write_clip

OPTIONS = RecordingOptions(Windowing(1.0, 0.5))


@pytest.fixture(scope="module")
def predictor(saved_model: Any) -> Predictor:
    return Predictor.from_pretrained(saved_model, device="cpu")


@pytest.mark.parametrize("name", ["long.mp4", "sound.wav", "silent.mp4", "old.avi"])
def test_each_window_is_answered_as_the_stretch_alone(predictor: Predictor, clips: Path, name: str) -> None:
    records = list(Recording(predictor, Clip(clips / name, extra={"id": 3}), OPTIONS).records())
    assert len(records) == (9 if name == "long.mp4" else 1)
    for record in records:
        alone = predictor.predict(clips / name, start=record["start"], end=record["end"])
        assert record["probabilities"] == pytest.approx(alone.probabilities, abs=1e-5)
        assert (record["start"], record["id"]) == (alone.start, 3)
        assert record["end"] == pytest.approx(alone.end, abs=0.05)


def test_a_file_that_does_not_say_how_long_it_is_is_read_to_its_end(
    predictor: Predictor, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(predictor, Clip(clips / "long.mp4"), OPTIONS)
    recording._duration = 0.0
    records = list(recording.records())
    assert not any("error" in record for record in records)
    assert records[-1]["end"] >= 4.9 and len(records) <= 11


def test_a_header_that_says_too_much_costs_no_day(predictor: Predictor, clips: Path) -> None:
    recording = Recording(predictor, Clip(clips / "long.mp4"), OPTIONS)
    recording._duration = 80_000.0
    records = list(recording.records())
    assert len(records) < 20 and sum("error" in record for record in records) <= 3


def test_windows_without_speech_have_no_answer(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    import soundfile

    # By energy: to silero-vad, where it is installed, a tone is no speech.
    monkeypatch.setattr("dual_hpc.inference.voice_activity.find_spec", lambda name: None)
    t = np.arange(6 * 16_000) / 16_000
    voice = 0.3 * np.sin(2 * np.pi * 200 * t) * (t % 0.25 < 0.15) * ((t < 2) | (t > 4))
    soundfile.write(tmp_path / "a.wav", voice, 16_000)
    options = RecordingOptions(Windowing(1.0, 1.0), least_speech=0.2)
    recording = Recording(predictor, Clip(tmp_path / "a.wav"), options)
    labels = [record["label"] for record in recording.records()]
    assert [label is None for label in labels] == [False, False, True, True, False, False]
    assert [one.label is None for one in recording.timeline().stretches] == [label is None for label in labels]


def test_turns_of_nothing_that_is_there_are_said(predictor: Predictor, clips: Path) -> None:
    for clip in (Clip(clips / "long.mp4"), Clip(clips / "long.mp4", end=2.0)):
        options = RecordingOptions(Windowing(1.0, 1.0), [Turn(100.0, 101.0, "A"), Turn(5.2, 9.0, "B")])
        with pytest.raises(UserError, match=r"--turns: none of 2 lies within .*long.mp4, which is 5.0 s long"):
            list(Recording(predictor, clip, options).records())


def test_turns_come_back_with_their_speakers(predictor: Predictor, clips: Path) -> None:
    turns = [Turn(0.0, 0.8, "A"), Turn(1.0, 3.0, "B")]
    recording = Recording(predictor, Clip(clips / "long.mp4"), RecordingOptions(Windowing(1.0, 1.0), turns))
    assert [record["speaker"] for record in recording.records()] == ["A", "B", "B"]
    assert [one.speaker for one in recording.timeline().stretches] == ["A", "B", "B"]


def test_a_recording_that_cannot_be_read_is_one_line(predictor: Predictor, clips: Path) -> None:
    out, errors = io.StringIO(), io.StringIO()
    assert (
        answer_all(predictor, [Clip(clips / "cut.mp4"), Clip(clips / "notes.txt")], out, errors, "jsonl", OPTIONS) == 2
    )
    assert len(out.getvalue().splitlines()) == len(errors.getvalue().splitlines()) == 2


def test_further_keys_of_a_line_come_back_and_slips_do_not(predictor: Predictor, clips: Path, tmp_path: Path) -> None:
    lines = [
        {"input": str(clips / "sound.wav"), "id": 7, "note": {"a": [1]}},
        {"input": str(clips / "sound.wav"), "txt": "hello"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    out, errors = io.StringIO(), io.StringIO()
    assert answer_all(predictor, read_requests([tmp_path / "a.jsonl"]), out, errors) == 2
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["id"] == 7 and first["note"] == {"a": [1]} and first["start"] == 0.0 and first["end"] == 0.8
    assert "did you mean text?" in second["error"]
    assert all(len(str(value).split(".")[-1]) <= 4 for value in first["probabilities"].values())


def test_the_command_writes_csv_and_every_form_of_the_timeline(saved_model: Any, clips: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"t.{ending}" for ending in ("json", "csv", "srt", "vtt", "png")]
    words = ["predict", "--model", str(saved_model), "--input", str(clips / "long.mp4"), "--window", "1"]
    words += ["--output", str(tmp_path / "a.csv"), "--timeline", *map(str, files)]
    assert main(words) == 0
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 9 and {"start", "end", "label", "angry"} <= rows[0].keys()
    assert all(path.stat().st_size > 20 for path in files)


def test_a_long_recording_is_said_to_proceed(
    saved_model: Any, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dual_hpc.progress.LINE_SECONDS", -1.0)  # a line for each step
    words = ["--model", str(saved_model), "--input", str(clips / "long.mp4"), "--device", "cpu", "--window", "2"]
    assert main(["predict", *words, "--output", str(tmp_path / "a.jsonl")]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("predict: 0/1  long.mp4: ")]
    assert said == [f"predict: 0/1  long.mp4: {seconds} s answered" for seconds in (2, 3, 4, 5)]


def test_a_table_is_for_people(predictor: Predictor, clips: Path) -> None:
    out, errors = io.StringIO(), io.StringIO()
    answer_all(
        predictor, [Clip(clips / "sound.wav"), Clip(clips / "cut.mp4"), Clip(clips / "both.mp4")], out, errors, "table"
    )
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["file", "seconds", "answer", "others"]
    assert "sound.wav" in lines[1] and "%" in lines[1] and "0.00 - 0.80" in lines[1]
    assert any("no video: answered without it" in line for line in lines)
    assert len(errors.getvalue().splitlines()) == 1


def test_a_run_stands_for_its_best_export(
    saved_model: Any, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run" / "export").mkdir(parents=True)
    (tmp_path / "run" / "export" / "best").symlink_to(saved_model)
    words = ["predict", "--input", str(clips / "sound.wav"), "--model"]
    assert main([*words, str(tmp_path / "run")]) == 0
    by_run = capsys.readouterr().out
    assert main([*words, str(saved_model)]) == 0
    assert by_run == capsys.readouterr().out


def test_pictures_are_named_as_what_they_are(predictor: Predictor, tmp_path: Path) -> None:
    from PIL import Image

    for ending in ("png", "jpg", "webp", "bmp", "tiff", "gif"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"a.{ending}")
    out, errors = io.StringIO(), io.StringIO()
    asked = [Clip(tmp_path / f"a.{ending}") for ending in ("png", "jpg", "webp", "bmp", "tiff")]
    assert answer_all(predictor, asked, out, errors) == 2
    for line, kind in zip(errors.getvalue().splitlines(), ("PNG", "JPEG", "WebP", "BMP", "TIFF"), strict=True):
        assert f"is a {kind} picture" in line


def test_the_same_clip_twice_as_long_costs_no_more_memory(predictor: Predictor, tmp_path: Path) -> None:
    """What is kept of each window is its answer, its loudness, and at most a few thumbnails."""
    write_clip(tmp_path / "a.mp4", 30.0)
    recording = Recording(predictor, Clip(tmp_path / "a.mp4"), OPTIONS)
    assert len(list(recording.records())) == 59
    assert len(recording.timeline().pictures) <= 96 and len(recording.timeline().peaks) <= 301
