"""The server's answers are those of `predict`, one after the other, and nothing of a recording stays."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from launch.cli.main import main
from tests.unit.serving.conftest import BOUNDARY, Running, form


def predicted(model: Path, file: Path, output: Path, *options: str) -> list[dict[str, Any]]:
    """The lines of `dual-hpc predict`."""
    words = [
        "predict",
        "--model",
        str(model),
        "--device",
        "cpu",
        "--input",
        str(file),
        "--output",
        str(output),
        *options,
    ]
    assert main(words) == 0
    return [json.loads(line) for line in output.read_text().splitlines()]


def same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Answers that agree in everything but the folder of the file."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-6)
        assert one.pop("speech", None) == pytest.approx(other.pop("speech", None), abs=1e-6)
        assert one.pop("input") == Path(other.pop("input")).name
        assert one == other


@pytest.mark.parametrize("name", ["both.mp4", "talk.mp4", "sound.wav"])
def test_answers_are_those_of_predict(
    server: Running, saved_model: Path, clips: Path, tmp_path: Path, name: str
) -> None:
    answer = server.predict(clips / name, window="2", hop="1")
    wanted = predicted(saved_model, clips / name, tmp_path / "a.jsonl", "--window", "2", "--hop", "1")
    assert server.predict(clips / name) == answer  # two seconds are what this model reads, and so the default
    assert answer["labels"] == list(wanted[0]["probabilities"])
    same(answer["windows"], wanted)


@pytest.mark.parametrize("name", ["both.mp4", "talk.mp4", "sound.wav"])
def test_a_whole_clip_is_answered_as_predict_does_without_windows(
    server: Running, saved_model: Path, clips: Path, tmp_path: Path, name: str
) -> None:
    answer = server.predict(clips / name, window="whole", text="so it goes")
    same(answer["windows"], predicted(saved_model, clips / name, tmp_path / "a.jsonl", "--text", "so it goes"))


def test_a_short_clip_is_answered_alike_with_and_without_windows(server: Running, clips: Path) -> None:
    windows, whole = (server.predict(clips / "both.mp4", window=how)["windows"] for how in ("2", "whole"))
    assert windows[0].pop("speech") is not None
    assert windows == whole


def test_the_timeline_and_its_files_are_those_of_predict(
    server: Running, saved_model: Path, clips: Path, tmp_path: Path
) -> None:
    answer = server.predict(clips / "talk.mp4", files="true", smooth="1")
    files = [tmp_path / f"t.{kind}" for kind in ("json", "csv", "srt", "vtt")]
    options = ["--window", "2", "--hop", "1", "--smooth", "1", "--timeline", *map(str, files)]
    predicted(saved_model, clips / "talk.mp4", tmp_path / "a.jsonl", *options)
    assert answer["timeline"] == json.loads(files[0].read_text())["timeline"]
    assert answer["files"] == {file.suffix[1:]: file.read_text() for file in files[1:]}
    assert answer["seconds"] == 8.0 and answer["segments"][0]["start"] == 0.0


def test_a_stream_has_the_lines_of_predict_and_then_the_rest(server: Running, clips: Path) -> None:
    whole = server.predict(clips / "talk.mp4")
    body = form([("stream", None, b"true"), ("file", "talk.mp4", (clips / "talk.mp4").read_bytes())])
    lines = [json.loads(line) for line in server.raw(body).partition("\r\n\r\n")[2].splitlines() if line[:1] == "{"]
    assert lines[:-1] == whole["windows"]
    assert lines[-1] == {name: value for name, value in whole.items() if name != "windows"}


def test_who_hangs_up_leaves_nothing_behind(server: Running, clips: Path) -> None:
    body = form([("file", "talk.mp4", (clips / "talk.mp4").read_bytes())])
    for share in (0.5, 1.0):
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
            head += f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
            line.sendall(head.encode() + body[: int(share * len(body))])
    end = time.monotonic() + 30
    while server.ask("/health")[1]["requests"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert not server.uploads()
    assert server.predict(clips / "both.mp4")["windows"]


def test_more_requests_than_allowed_are_told_to_come_back(server: Running, clips: Path) -> None:
    lines = []
    head = "POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5000\r\ncontent-type: multipart/form-data; "
    head += f"boundary={BOUNDARY}\r\n\r\n"
    try:
        for _ in range(4):
            lines.append(socket.create_connection(("127.0.0.1", server.port)))
            lines[-1].sendall(head.encode())
        while server.ask("/health")[1]["requests"] < 4:
            time.sleep(0.02)
        body = form([("file", "both.mp4", (clips / "both.mp4").read_bytes())])
        status, answer, headers = server.ask("/predict", body)
        assert status == 503 and "too many requests" in answer["error"] and headers["retry-after"] == "5"
    finally:
        for line in lines:
            line.close()


def test_several_at_once_wait_for_each_other_and_all_are_answered(server: Running, clips: Path) -> None:
    alone = server.predict(clips / "talk.mp4")
    found: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: found.append(server.predict(clips / "talk.mp4"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 3
