"""Files, folders and manifests, ugly ones included."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from dual_hpc.errors import UserError
from dual_hpc.inference.requests import BadRequest, Clip, read_requests


def test_one_file_is_one_clip_with_its_text(tmp_path: Path) -> None:
    path = tmp_path / "a:b c.mp4"
    path.touch()
    assert list(read_requests([path], "hi")) == [Clip(path, "hi")]


def test_a_folder_gives_its_files_in_order_and_leaves_hidden_ones_out(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/x.wav", "._b.mp4", ".cache/y.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(clip.path.relative_to(tmp_path)) for clip in read_requests([tmp_path])]
    assert found == ["a/x.wav", "b.mp4", "notes.txt"]


def test_a_manifest_is_relative_to_itself_and_keeps_its_bad_lines_in_place(tmp_path: Path) -> None:
    manifest = tmp_path / "clips.jsonl"
    manifest.write_bytes(
        b'{"input": "a.mp4", "text": "so"}\n'
        b"not json\n\n"
        b'{"text": "no input"}\n'
        b'{"input": "b.mp4", "start": 2, "end": 1}\n'
        b'{"input": "b.mp4", "strat": 2}\n'
        b'{"input": "/c.mp4", "start": 1.5, "end": 2}\n'
        b"\xff\xfe\n"
    )
    found = list(read_requests([manifest]))
    assert found[0] == Clip(tmp_path / "a.mp4", "so")
    assert [type(one) for one in found[1:5]] == [BadRequest] * 4
    assert "end must be greater than start" in found[3].reason and found[3].where.endswith(":5")
    assert "strat" in found[4].reason
    assert str(found[5].path) == "/c.mp4" and (found[5].start, found[5].end) == (1.5, 2.0)
    assert isinstance(found[6], BadRequest)


@pytest.mark.parametrize("line", ["[1]", "null", "3", '"a.mp4"', "{", "mono.mp4"])
def test_a_line_that_is_no_object_is_told_what_a_line_looks_like(tmp_path: Path, line: str) -> None:
    manifest = tmp_path / "clips.jsonl"
    manifest.write_text(line)
    (found,) = read_requests([manifest])
    assert found.reason == 'is not JSON like {"input": "clip.mp4", "text": "..."}'


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=5))
def test_no_line_of_a_manifest_stops_the_others(tmp_path: Path, lines: Any) -> None:
    manifest = tmp_path / "clips.jsonl"
    manifest.write_bytes(b"\n".join([*lines, b'{"input": "last.mp4"}']))
    assert list(read_requests([manifest]))[-1] == Clip(tmp_path / "last.mp4")


def test_several_inputs_are_answered_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.mp4", "a.wav"):
        (tmp_path / name).touch()
    (tmp_path / "c.jsonl").write_text('{"input": "c.mp4"}\n')
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"input": "d.mp4", "text": "so"}\nno\n')))
    found = list(read_requests([tmp_path / "b.mp4", "-", tmp_path / "a.wav", tmp_path / "c.jsonl"]))
    assert found[:2] == [Clip(tmp_path / "b.mp4"), Clip(Path("d.mp4"), "so")]
    assert isinstance(found[2], BadRequest) and found[2].where == "standard input:2"
    assert found[3:] == [Clip(tmp_path / "a.wav"), Clip(tmp_path / "c.mp4")]
    with pytest.raises(UserError, match="--text"):
        read_requests([tmp_path / "b.mp4", tmp_path / "a.wav"], "one text for both")


@pytest.mark.parametrize("source", ["", "absent", "*.mp4"])
def test_what_is_not_there_is_refused_before_anything_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UserError, match="does not exist"):
        read_requests(["a.mp4", source])


@pytest.mark.parametrize(("name", "text"), [("absent.mp4", None), ("", None), ("clips.jsonl", "one text for all")])
def test_what_asks_for_nothing_is_refused(tmp_path: Path, name: str, text: str | None) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    if name.endswith("jsonl"):
        (folder / name).touch()
    with pytest.raises(UserError, match=r"--input|--text"):
        read_requests([folder / name], text)


@pytest.mark.timeout(30)
def test_a_manifest_of_one_endless_line_is_not_read_to_its_end(tmp_path: Path) -> None:
    manifest = tmp_path / "a.jsonl"
    manifest.write_text('{"input": "a.wav"}\n')
    os.truncate(manifest, 10**12)
    first, second = read_requests([manifest])
    assert isinstance(first, Clip) and isinstance(second, BadRequest) and "longer" in second.reason
