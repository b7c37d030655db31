"""Answers for raw clips: what they rest on, and what is no clip."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import UserError
from dual_hpc.inference.batch import answer_all
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.preparation import prepare
from dual_hpc.inference.requests import BadRequest, Clip, read_requests
from dual_hpc.model import build_model, load_model, save_model
from launch.cli.main import main


@pytest.fixture(scope="session")
def predictor(saved_model: Any) -> Predictor:
    return Predictor.from_pretrained(saved_model, device="cpu")


@pytest.mark.parametrize(
    ("name", "text", "used"),
    [
        ("both.mp4", "so it goes", ["audio", "video", "text"]),
        ("both.mp4", None, ["audio", "video"]),
        ("silent.mp4", None, ["video"]),
        ("silent.mp4", "never", ["video", "text"]),
        ("sound.wav", None, ["audio"]),
        ("old.avi", "", ["audio", "video"]),
    ],
)
def test_any_clip_gets_an_answer_that_says_what_was_used(
    predictor: Any, clips: Path, name: str, text: str | None, used: Any
) -> None:
    answer = predictor.predict(clips / name, text)
    assert answer.modalities == used
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert answer.label == max(answer.probabilities, key=answer.probabilities.get)
    missing = {"audio", "video"} - set(used)
    assert all(any(f"no {name}" in line for line in answer.warnings) for name in missing)


def test_text_changes_the_answer_and_an_empty_one_is_none(predictor: Any, clips: Path) -> None:
    without = predictor.predict(clips / "both.mp4").probabilities
    assert predictor.predict(clips / "both.mp4", "   ").probabilities == without
    assert predictor.predict(clips / "both.mp4", "so it goes").probabilities != without


def test_the_same_clips_answered_together_or_apart_are_the_same(predictor: Any, clips: Path) -> None:
    asked = [Clip(clips / "both.mp4", "so it goes"), Clip(clips / "sound.wav"), Clip(clips / "long.mp4")]
    together = predictor.answer(asked, [prepare(clip, predictor.preprocessing) for clip in asked])
    for clip, one in zip(asked, together, strict=True):
        alone = predictor.predict(clip.path, clip.text)
        assert alone.probabilities == pytest.approx(one.probabilities, abs=1e-5)


def test_files_that_are_no_media_cost_a_line_and_the_exit_code_not_the_others(predictor: Any, clips: Path) -> None:
    out, errors = io.StringIO(), io.StringIO()
    requests = [*read_requests([clips]), BadRequest("clips.jsonl:3", "is not JSON")]
    assert answer_all(predictor, requests, out, errors) == 2
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(records) == len(requests) - 1
    bad = {record["input"].rsplit("/", 1)[-1] for record in records if "error" in record}
    assert bad == {"cut.mp4", "empty.mp4", "clips.jsonl:3"}
    said = errors.getvalue().splitlines()
    assert len(said) == len(bad) + 1
    assert said[-1] == "dual-hpc: 1 file is neither audio nor video and left out: notes.txt"


def test_a_pipe_without_a_writer_is_not_waited_for(predictor: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    out, errors = io.StringIO(), io.StringIO()
    asked = [Clip(tmp_path / "pipe.mp4"), Clip(Path("/dev/null")), Clip(tmp_path), Clip(tmp_path / "absent.mp4")]
    assert answer_all(predictor, asked, out, errors) == 2
    said = errors.getvalue().splitlines()
    assert [line.rsplit(": ", 1)[-1] for line in said] == [
        *("is a pipe or device, no media file", "is a pipe or device, no media file", "is a folder, no media file"),
        "no such file",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_name_that_is_no_text_comes_back_as_it_was(
    predictor: Any, clips: Path, tmp_path: Path, encoding: str
) -> None:
    names = [b"c_\xff.mp4", "名 é\n.mp4".encode()]
    for name in names:
        shutil.copy(clips / "sound.wav", os.path.join(os.fsencode(tmp_path), name))
    with open(tmp_path / "out", "w", encoding=encoding) as out:
        answer_all(predictor, [Clip(tmp_path / os.fsdecode(name)) for name in names], out, io.StringIO())
    lines = (tmp_path / "out").read_text(encoding).splitlines()
    assert [os.path.basename(os.fsencode(json.loads(line)["input"])) for line in lines] == names


def test_one_odd_line_costs_one_answer(predictor: Any, clips: Path, tmp_path: Path) -> None:
    """Texts that are not Unicode, names that no file can have, and pieces beyond every clock."""
    shutil.copy(clips / "sound.wav", tmp_path / "a.wav")
    odd = [
        *('{"input": "a.wav", "text": "half \\ud800"}', '{"input": "\\ud800.wav"}', '{"input": "a\\u0000.wav"}'),
        *(f'{{"input": "{"x" * 5000}.wav"}}', '{"input": "a.wav", "start": 1e300}', '{"input": "a.wav", "end": 1e400}'),
        *("[" * 100_000, "1" * 5_000, '{"input": "a.wav", "text": "\\u001b[31m\\u202e"}'),
    ]
    good = '{"input": "a.wav", "text": "so it goes"}'
    (tmp_path / "batch.jsonl").write_text("\n".join([good, *odd, good]) + "\n")
    out, errors = io.StringIO(), io.StringIO()
    assert answer_all(predictor, read_requests([tmp_path / "batch.jsonl"]), out, errors) == 2
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(records) == len(odd) + 2 and "error" not in records[0] and records[0] == records[-1]
    assert [("error" in record) for record in records[1:-1]] == [True] * 8 + [False]
    assert all(c.isprintable() or c == "\n" for c in errors.getvalue())


def test_a_batch_without_faults_exits_with_zero(predictor: Any, clips: Path) -> None:
    out, errors = io.StringIO(), io.StringIO()
    assert answer_all(predictor, [Clip(clips / "sound.wav")], out, errors) == 0
    assert errors.getvalue() == ""
    assert json.loads(out.getvalue())["modalities"] == ["audio"]


def test_a_model_made_without_text_says_that_it_was_not_used(saved_model: Any, clips: Path, tmp_path: Path) -> None:
    preprocessing = load_model(saved_model)[0].config.preprocessing
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1, use_text=False)
    save_model(build_model(config, ["no", "yes"], preprocessing, None, None), None, tmp_path)
    predictor = Predictor.from_pretrained(tmp_path)
    answer = predictor.predict(clips / "both.mp4", "so it goes")
    assert answer.modalities == ["audio", "video"]
    assert any("trained without text" in line for line in answer.warnings)


def test_a_text_longer_than_the_model_reads_is_said_to_be_cut(predictor: Any, clips: Path) -> None:
    said = f"only the first {predictor.preprocessing.max_tokens} tokens of the text are used"
    assert said in predictor.predict(clips / "sound.wav", "so " * 1000).warnings
    assert said not in predictor.predict(clips / "sound.wav", "so").warnings


@pytest.mark.parametrize("device", ["tpu", "meta:x", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_by_name(saved_model: Any, device: str) -> None:
    with pytest.raises(UserError, match=f"device '{device}' cannot be used here"):
        Predictor.from_pretrained(saved_model, device=device)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "absent/out.jsonl"], "--output: absent/out.jsonl is not a file"),
        (["--output", "."], "--output: . is not a file"),
        (["--model", "run"], "--model: the run run has exported no model yet"),
        (["--model", "absent"], "--model: absent is not a folder, and there is no run 'absent'"),
        (["--model", "models:/x"], "--model: models:/x is not a valid address"),
        (["--window", "100"], "--window: 100 is not between 0.1 and the 2 s the model reads"),
        (["--window", "2", "--hop", "3"], "--hop: 3 is not between 0.1 and the window, 2 s"),
        (["--window", "0"], "--window: 0 is not between 0.1 and the 2 s the model reads"),
        (["--window", "nan"], "--window: nan is not between"),
        (["--window", "inf"], "--window: inf is not between"),
        (["--window", "--hop", "0"], "--hop: 0 is not between"),
        (["--window", "--hop", "-1"], "--hop: -1 is not between"),
        (["--hop", "nan"], "--hop: nan is not between"),
        (["--smooth", "nan", "--window"], "--smooth: nan is not between"),
        (["--speech", "nan"], "--speech: nan is not between 0 and 1"),
        (["--speech", "2"], "--speech: 2 is not between 0 and 1"),
        (["--timeline", "a.json", "--output", "a.json"], "a.json is named twice for what is written"),
        (["--timeline", "a.csv", "../here/a.csv"], "a.csv is named twice"),
        (["--explain", "a.png", "--output", "./a.png"], "a.png is named twice"),
        (["--explain", "--format", "csv"], "--explain: CSV has no column for it"),
        (["--explain", "--output", "a.csv"], "--explain: CSV has no column for it"),
        (["--turns", "one.rttm", "--input", "a.mp4", "a.mp4"], "--turns: one.rttm is of one recording; there are 2"),
        (["--timeline", "x.doc"], "--timeline: x.doc: the ending must be one of .json, .csv, .srt, .vtt, .png"),
        (["--timeline", "x.srt", "--input", "a.mp4", "a.mp4"], "--timeline: x.srt is of one recording; there are 2"),
        (["--turns", "a.mp4"], "--turns: a.mp4 holds no turns"),
        (["--input", "none.jsonl"], "--input: the manifest names no clip"),
        (["--input", "none.jsonl", "--output", "../here/none.jsonl"], "none.jsonl is among the --input"),
        (["--input", "run", "--output", "run/a.mp4"], "--output: run/a.mp4 is among the --input"),
    ],
)
def test_a_mistaken_command_is_one_line_that_says_what_to_change(
    saved_model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: Any,
    said: str,
) -> None:
    here = tmp_path / "here"
    (here / "run/export").mkdir(parents=True)
    monkeypatch.chdir(here)
    for name in ("none.jsonl", "a.mp4", "run/a.mp4"):
        (here / name).touch()
    (here / "one.rttm").write_text("SPEAKER x 1 0 1 <NA> <NA> A <NA> <NA>\n")
    assert main(["predict", "--model", str(saved_model), "--input", "a.mp4", *words]) == 2
    assert said in capsys.readouterr().err


def test_answers_written_beside_the_clips_are_no_clip_the_next_time(
    saved_model: Any, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(clips / "sound.wav", tmp_path)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["predict", "--model", str(saved_model), "--input", ".", "--output", "out.jsonl"]) == 0
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


def test_an_output_on_a_full_disk_is_named(saved_model: Any, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["predict", "--model", str(saved_model), "--input", str(clips / "sound.wav"), "--output", "/dev/full"]
    assert main(words) == 1
    assert capsys.readouterr().err == "dual-hpc: error: /dev/full: No space left on device\n"


def test_an_output_of_a_dash_is_the_terminal(
    saved_model: Any, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "--model", str(saved_model), "--input", str(clips / "sound.wav"), "--output", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["modalities"] == ["audio"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, "{}", '{"model_type": "bert"}', "not json"])
def test_a_directory_of_something_else_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError) as caught:
        Predictor.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_with_dimensions_answers_them_in_the_units_of_the_corpus(clips: Path, tmp_path: Path) -> None:
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1, use_text=False)
    media = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 2.0, "max_tokens": 16}
    scales = {"valence": [1000.0, 1.0], "arousal": [-1000.0, 1.0]}
    save_model(build_model(config, ["bad", "good"], media, None, None, dimensions=scales), None, tmp_path)
    answer = Predictor.from_pretrained(tmp_path, device="cpu").predict(clips / "both.mp4")
    assert abs(answer.dimensions["valence"] - 1000) < 20 and abs(answer.dimensions["arousal"] + 1000) < 20
    out = io.StringIO()
    answer_all(Predictor.from_pretrained(tmp_path, device="cpu"), [Clip(clips / "both.mp4")], out, io.StringIO())
    written = json.loads(out.getvalue())["dimensions"]
    assert written == {name: round(value, 4) for name, value in answer.dimensions.items()}


def test_a_model_without_dimensions_answers_as_before(predictor: Any, clips: Path) -> None:
    assert "dimensions" not in predictor.predict(clips / "both.mp4").to_json()
