"""A watched folder: each complete file is answered once, whatever happens to the program and to the files."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.errors import UserError
from dual_hpc.inference.answered_files import Content, open_answers, read_answers
from dual_hpc.inference.watch import Look, Settling, Watch, is_temporary
from launch.cli.main import main
from tests.unit.inference.conftest import write_clip


def records_of(path: Path) -> list[dict[str, Any]]:
    """As many answers as the file has letters, at most three; none of a text that says so."""
    content = path.read_text()
    if content.startswith("no media"):
        return [{"input": str(path), "error": f"{path}: is no media"}]
    return [{"input": str(path), "start": float(k), "label": "happy"} for k in range(min(3, len(content)))]


@contextmanager
def watching(folder: Path, output: Path, seconds: float = 0.0) -> Iterator[Watch]:
    with open_answers(output) as answers:
        yield Watch(folder, answers, records_of, seconds, output)


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def names(output: Path) -> list[str]:
    """Of the answered files, in order; each once for each time that it was answered."""
    return [Path(line["input"]).name for line in lines(output) if line["window"] == 1]


@pytest.mark.parametrize(
    "name",
    [
        "a.mp4.part",
        "a.mp4.crdownload",
        ".a.mp4",
        ".a.mp4.X7f",
        "~$a.mp4",
        "a.mp4~",
        "#a#",
        "a.TMP",
        "a.filepart",
        "a.swp",
    ],
)
def test_names_of_what_is_not_complete(name: str) -> None:
    assert is_temporary(name)


@pytest.mark.parametrize("name", ["a.mp4", "part.mp4", "tmp.wav", "a.part1.mkv", "a", "läuft.webm"])
def test_names_of_what_may_be_complete(name: str) -> None:
    assert not is_temporary(name)


@given(st.lists(st.tuples(st.floats(0.01, 3), st.booleans()), min_size=1, max_size=30), st.floats(0.1, 5))
def test_a_file_is_complete_when_it_has_been_the_same_for_long_enough(
    looks: list[tuple[float, bool]], seconds: float
) -> None:
    settling, path, now, changed, size = Settling(seconds), Path("a"), 0.0, 0.0, 0
    for pause, changes in looks:
        now += pause
        if changes or not size:
            size, changed = size + 1, now
        assert (settling.settled({path: Look(size, 0, 0)}, now) == [path]) is (now - changed >= seconds)


def test_each_file_is_answered_once_also_after_a_restart(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    (folder / "below").mkdir(parents=True)
    (folder / "a.mp4").write_text("aaa")
    with watching(folder, output) as watch:
        watch.look()
        (folder / "below" / "b.mp4").write_text("b")
        (folder / "c.mp4.part").write_text("c")
        (folder / ".hidden").mkdir()
        (folder / ".hidden" / "d.mp4").write_text("d")
        watch.look()
        watch.look()
        assert (watch.answered, watch.failed) == (2, 0)
    with watching(folder, output) as watch:
        (folder / "c.mp4.part").rename(folder / "c.mp4")
        watch.look()
        assert watch.answered == 1
    assert names(output) == ["a.mp4", "b.mp4", "c.mp4"]
    assert [(line["window"], line["windows"]) for line in lines(output)] == [(1, 3), (2, 3), (3, 3), (1, 1), (1, 1)]


def test_new_content_is_a_new_file_and_a_touch_is_not(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "a.mp4").write_text("aa")
    for _ in range(2):
        with watching(folder, output) as watch:
            watch.look()
            os.utime(folder / "a.mp4")
            watch.look()
    assert names(output) == ["a.mp4"]
    (folder / "a.mp4").write_text("bb")
    with watching(folder, output) as watch:
        watch.look()
    assert names(output) == ["a.mp4", "a.mp4"]


def test_a_file_that_is_written_waits(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    with watching(folder, output, seconds=0.3) as watch, open(folder / "a.mp4", "w") as file:
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            file.write("a")
            file.flush()
            watch.look()
            time.sleep(0.02)
        assert not lines(output)
        time.sleep(0.35)
        watch.look()
        assert names(output) == ["a.mp4"]


def test_what_changes_while_it_is_answered_is_answered_when_it_is_complete(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "a.mp4").write_text("a")

    def answer(path: Path) -> Sequence[dict[str, Any]]:
        found = records_of(path)
        if path.read_text() == "a":
            path.write_text("aa")
        return found

    with open_answers(output) as answers:
        watch = Watch(folder, answers, answer, 0.0)
        watch.look()
        watch.look()
    assert [line["windows"] for line in lines(output)] == [2, 2]


def test_odd_things_have_one_line_each_and_nothing_hangs(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "text.txt").write_text("no media")
    (folder / "empty.mp4").write_bytes(b"")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "gone.mp4").symlink_to("nowhere")
    (folder / "folder.mp4").mkdir()
    Path(os.fsdecode(bytes(folder) + b"/\xff\xfe.mp4")).write_bytes(b"x")

    def answer(path: Path) -> Sequence[dict[str, Any]]:
        return [{"input": str(path), "error": f"{path.name!r}: no media"}]

    for _ in range(2):
        with open_answers(output) as answers:
            watch = Watch(folder, answers, answer, 0.0)
            watch.look()
            watch.look()
    assert len(lines(output)) == 6 and all("error" in line for line in lines(output))


@pytest.mark.parametrize("seed", range(20))
def test_what_an_interrupted_program_wrote_is_cut_off_and_answered_again(tmp_path: Path, seed: int) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    for name in "abcd":
        (folder / f"{name}.mp4").write_text(name * 3)
    with watching(folder, output) as watch:
        watch.look()
    whole = output.read_bytes()
    cut = random.Random(seed).randrange(len(whole) + 1)
    output.write_bytes(whole[:cut])
    with watching(folder, output) as watch:
        watch.look()
        complete = [json.loads(line) for line in whole[:cut].splitlines(keepends=True) if line.endswith(b"\n")]
        assert watch.answered == 4 - sum(line["window"] == line["windows"] for line in complete)
    assert output.read_bytes() == whole


def test_what_a_power_failure_leaves_is_cut_off(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "a.mp4").write_text("a")
    with watching(folder, output) as watch:
        watch.look()
    whole = output.read_bytes()
    output.write_bytes(whole + b"\0" * 5000)
    with watching(folder, output) as watch:
        watch.look()
    assert output.read_bytes() == whole


@pytest.mark.parametrize("content", ["a report\n", "a report", "[1]\n", '{"a": 1}\n', "\n"])
def test_what_is_no_list_of_answers_is_neither_read_nor_written(tmp_path: Path, content: str) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text(content)
    with pytest.raises(UserError, match="was not written by predict"), open_answers(output):
        pass
    assert output.read_text() == content


def test_answers_of_predict_itself_stay(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "a.mp4").write_text("a")
    output.write_text('{"input": "x.mp4", "label": "sad"}')  # without an end of the line
    with watching(folder, output) as watch:
        watch.look()
    assert [Path(line["input"]).name for line in lines(output)] == ["x.mp4", "a.mp4"]
    assert read_answers(output)[0].keys() == {str(folder / "a.mp4")}


def test_one_program_at_a_time_appends(tmp_path: Path) -> None:
    with open_answers(tmp_path / "a.jsonl") as answers:
        answers.append("a", Content(1, 2, "c"), [{"input": "a"}])
        with pytest.raises(UserError, match="another process"), open_answers(tmp_path / "a.jsonl"):
            pass


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--watch", "nowhere"], "--watch: nowhere is not a folder"),
        (["--watch", ".", "--text", "hi"], "--text: is of one recording"),
        (["--watch", ".", "--explain"], "--explain: is of one recording"),
        (["--watch", "."], "--watch: needs --output"),
        (["--watch", ".", "--output", "-"], "--watch: needs --output"),
        (["--watch", ".", "--output", "a.csv"], "--watch: writes JSON lines"),
        (["--watch", ".", "--output", "a.jsonl", "--settle", "-1"], "--settle: -1 is not between"),
    ],
)
def test_what_does_not_go_with_watching_is_refused(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "--model", "nothing", *options]) == 2
    assert words in capsys.readouterr().err


def test_the_command_answers_as_predict_and_leaves_cleanly(saved_model: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.jsonl"
    folder.mkdir()
    write_clip(folder / "a.mp4", 3.0)
    (folder / "notes.txt").write_text("this is no media\n")
    words = [sys.executable, "-m", "launch.cli.main", "predict", "--model", str(saved_model), "--device", "cpu"]
    words += ["--watch", str(folder), "--output", str(output), "--window", "2", "--settle", "0.2"]
    write_clip(tmp_path / "b.wav", 1.0, video=False).rename(folder / "b.wav.part")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(process, lambda: output.exists() and len(lines(output)) == 3)
        (folder / "b.wav.part").rename(folder / "b.wav")
        wait_for(process, lambda: len(lines(output)) == 4)
    finally:
        process.terminate()  # as Ctrl-C, which a background job of a shell ignores, and this test may run in one
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and said.splitlines()[-1] == "ended: 2 files answered, 1 could not be"
    assert len(errors.splitlines()) == 1 and "notes.txt: cannot be read" in errors
    plain = tmp_path / "plain.jsonl"
    assert main([*words[3:8], "--input", str(folder / "a.mp4"), "--window", "2", "--output", str(plain)]) == 0
    added = ("file", "window", "windows")
    found = [{k: v for k, v in line.items() if k not in added} for line in lines(output) if "a.mp4" in line["input"]]
    assert found == lines(plain)


def wait_for(process: subprocess.Popen[str], done: Any) -> None:
    end = time.monotonic() + 120
    while not done():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
