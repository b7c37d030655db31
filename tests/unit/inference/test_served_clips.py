"""What a served model answers to clips is what `predict` answers; no client makes the server read its disk."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.errors import UserError
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.served_clips import FOLDER, answer_clips


@pytest.fixture(scope="module")
def predictor(saved_model: Path) -> Predictor:
    return Predictor.from_pretrained(saved_model, device="cpu")


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.mark.parametrize("name", ["both.mp4", "silent.mp4", "sound.wav", "old.avi", "long.mp4", "cut.mp4"])
@pytest.mark.parametrize("more", [{}, {"text": "so it goes"}, {"start": 0.2, "end": 0.7}])
def test_a_clip_is_answered_as_predict_answers_its_file(
    predictor: Predictor, clips: Path, tmp_path: Path, name: str, more: dict[str, Any]
) -> None:
    try:
        alone = predictor.predict(clips / name, **more).to_json()
    except UserError:
        with pytest.raises(UserError, match=r"^row 1: the clip"):
            answer_clips(predictor, [{"clip": encoded(clips / name), **more}], tmp_path)
        return
    (served,) = answer_clips(predictor, [{"clip": encoded(clips / name), "path": float("nan"), **more}], tmp_path)
    assert served == {key: value for key, value in alone.items() if key != "input"}
    assert not list(tmp_path.iterdir())


def test_no_path_and_no_address_that_a_client_names_is_read(
    predictor: Predictor, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [str(clips / "both.mp4"), "both.mp4", "/etc/passwd", "http://127.0.0.1:9/a.mp4", "file:///etc/passwd", "\0"]
    monkeypatch.delenv(FOLDER, raising=False)
    refusals = set()
    for path in named:
        with pytest.raises(UserError) as refused:
            answer_clips(predictor, [{"path": path}], tmp_path)
        refusals.add(str(refused.value))
    inside = tmp_path / "allowed"
    inside.mkdir()
    (inside / "out").symlink_to(clips)
    (inside / "link.mp4").symlink_to(clips / "both.mp4")
    monkeypatch.setenv(FOLDER, str(inside))
    outside = ["../allowed/../x", "out/both.mp4", "link.mp4", "missing.mp4", ".", "x" * 4000]
    for path in [*named, *outside]:
        with pytest.raises(UserError) as refused:
            answer_clips(predictor, [{"path": path}], tmp_path)
        refusals.add(str(refused.value))
    assert len(refusals) == 1, "the words tell nothing of what is on the disk"


def test_a_file_of_the_folder_that_the_operator_allows_is_read(
    predictor: Predictor, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(clips))
    alone = predictor.predict(clips / "both.mp4").probabilities
    for path in ("both.mp4", str(clips / "both.mp4")):
        (served,) = answer_clips(predictor, [{"path": path}], tmp_path)
        assert served["probabilities"] == alone
    assert (clips / "both.mp4").exists()


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile '{secret}'\n",
        "#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD><Period><BaseURL>{secret}</BaseURL></Period></MPD>',
        "subfile,,start,0,end,0,,:{secret}",
    ],
)
def test_a_clip_that_names_other_files_makes_the_server_open_none(
    predictor: Predictor, clips: Path, tmp_path: Path, content: str
) -> None:
    before = os.stat(clips / "both.mp4").st_atime_ns
    text = content.replace("{secret}", str(clips / "both.mp4"))
    with pytest.raises(UserError, match="the clip"):
        answer_clips(predictor, [{"clip": base64.b64encode(text.encode()).decode()}], tmp_path)
    assert os.stat(clips / "both.mp4").st_atime_ns == before


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "give clip"),
        ({"clip": "AAAA", "path": "a"}, "give clip"),
        ({"clip": "not base64!"}, "not base64"),
        ({"clip": "AAAA", "start": 2.0, "end": 1.0}, "end must be greater"),
        ({"clip": "AAAA", "end": float("inf")}, "end"),
        ({"clip": "AAAA", "volume": 1}, "volume"),
        ({"clip": 7}, "clip"),
        ({"clip": ""}, "the clip"),
    ],
)
def test_what_is_no_request_is_refused_by_row(
    predictor: Predictor, tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as refused:
        answer_clips(predictor, [row], tmp_path)
    assert str(refused.value).startswith("row 1: ") and str(tmp_path) not in str(refused.value)


def test_a_request_without_rows_or_with_too_many_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    for rows in ([], [{"clip": "AAAA"}] * 257):
        with pytest.raises(UserError, match="1 to 256 rows"):
            answer_clips(predictor, rows, tmp_path)
