"""The manifest reader: every wrong row is named by its line."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dual_hpc.data.format.sample import is_valid_key
from dual_hpc.errors import UserError
from shards.corpora import manifest as reader


@pytest.fixture
def folder(tmp_path: Path, put: Callable[[str, Path], Path]) -> Path:
    put("tone.wav", tmp_path / "a.wav")
    put("clip.mp4", tmp_path / "sub" / "b.mp4")
    os.mkfifo(tmp_path / "pipe.wav")
    return tmp_path


def write(folder: Path, rows: list[Any], name: str = "mine.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_csv_and_json_lines_mean_the_same(folder: Path) -> None:
    table = folder / "mine.csv"
    table.write_text("id,audio,video,text,label,split,start,end\nu,a.wav,sub/b.mp4,Hello,Joy,train,0.1,0.5\n")
    row = {"audio": "a.wav", "video": "sub/b.mp4", "text": "Hello", "label": "Joy", "split": "train"}
    lines = write(folder, [{**row, "id": "u", "start": 0.1, "end": 0.5}])
    (from_csv,), (from_json,) = reader.read(table).utterances, reader.read(lines).utterances
    assert from_csv.fields == from_json.fields and from_csv.audio == from_json.audio and from_csv.text == "Hello"
    assert from_csv.fields["label"] == "joy" and from_csv.fields["raw_label"] == "Joy"
    assert from_csv.fields["corpus"] == "mine" and reader.read(lines, "other").corpus == "other"
    assert from_csv.audio is not None and (from_csv.audio.start, from_csv.audio.end) == (0.1, 0.5)


def test_a_file_is_what_it_holds_and_a_better_one_of_one_kind_may_stand_beside_it(folder: Path) -> None:
    (folder / "mine.csv").write_text(
        "file,audio,video,label\na.wav,,,joy\nsub/b.mp4,,,sad\nsub/b.mp4,a.wav,,joy\na.wav,,sub/b.mp4,sad\n"
    )
    found = [
        (p.audio and p.audio.path.name, p.video and p.video.path.name)
        for p in reader.read(folder / "mine.csv").utterances
    ]
    assert found == [("a.wav", None), ("b.mp4", "b.mp4"), ("a.wav", "b.mp4"), ("a.wav", "b.mp4")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("not json", "is not a JSON object"),
        ("[1, 2]", "is not a JSON object"),
        ("[" * 100_000, "is not a JSON object"),
        ({"audio": "absent.wav"}, "audio 'absent.wav' does not exist"),
        ({"audio": "a\0.wav"}, "does not exist"),
        ({"audio": "x" * 5000}, "does not exist"),
        ({"audio": ["a.wav"]}, "audio is not a path"),
        ({"audio": "sub"}, "audio 'sub' is a folder, not a file"),
        ({"text": "only"}, "neither file nor audio nor video is given"),
        ({"audio": "a.wav", "id": "../x"}, "is not a plain name"),
        ({"audio": "a.wav", "id": "a.b"}, "is not a plain name"),
        ({"audio": "a.wav", "id": "ok"}, "id ok occurs twice"),
        ({"audio": "a.wav", "start": "soon"}, "start 'soon' is not a number"),
        ({"audio": "a.wav", "start": "nan"}, "start 'nan' is not a number"),
        ({"audio": "a.wav", "start": 2, "end": 1}, "are not a valid stretch of time"),
        ({"audio": "a.wav", "start": -1}, "are not a valid stretch of time"),
        ({"audio": "a.wav", "session": 1.5}, "session 1.5 is not a whole number"),
        ({"audio": "a.wav", "emotion": "joy"}, "unknown column 'emotion'; rename 'emotion' to label"),
        ({"file": "a.wav", "audio": "a.wav", "video": "sub/b.mp4"}, "file is given beside audio and video"),
        ({"file": "absent.wav"}, "file 'absent.wav' does not exist"),
        ({"audio": "a.wav", "id": "a\nb"}, "is not a plain name"),
        ({"audio": "a.wav", "id": ".hidden"}, "is not a plain name"),
        ({"audio": "a.wav", "id": "-rf"}, "is not a plain name"),
        ({"audio": "a.wav", "id": "x" * 300}, "is not a plain name"),
        ({"audio": "a.wav", "id": "caf\u00e9"}, "is not a plain name"),
        ({"audio": "a.wav", "id": "ok "}, "id ok occurs twice"),
        ({"audio": "a.wav", "text": "x" * 10_000_000}, "text has 10000000 characters"),
        ({"audio": "a.wav", "speaker": "x" * 10_001}, "speaker has 10001 characters"),
        ({"audio": "a.wav", "utterance": 1e300}, "is not a whole number"),
        ('{"audio": "a.wav", "start": 1' + "0" * 5000 + "}", "is not a JSON object"),
        ('{"audio": "a.wav", "start": 1e999}', "start 'inf' is not a number"),
        ({"audio": "/dev/zero"}, "audio '/dev/zero' is a device, not a file"),
        ({"audio": "pipe.wav"}, "audio 'pipe.wav' is a named pipe, not a file"),
        ({"audio": "\ud800.wav"}, "does not exist"),
        ({"audio": "a.wav", "label": ["joy"]}, "label is not a plain value"),
        ({"audio": "a.wav", "text": {"en": "Hello"}}, "text is not a plain value"),
        ({"audio": "a.wav", "split": {}}, "split is not a plain value"),
        ({"audio": "a.wav", "label": float("nan")}, "label is NaN"),
        ({"audio": "a.wav", "text": float("nan")}, "text is NaN"),
        ({"audio": "a.wav", "end": float("nan")}, "end is NaN"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(folder: Path, row: Any, reason: str) -> None:
    plan = reader.read(write(folder, [{"audio": "a.wav", "id": "ok", "label": "joy"}, row]))
    (skip,) = plan.skips
    assert skip.where == "mine.jsonl:2" and reason in skip.reason
    assert [p.key for p in plan.utterances] == ["ok"]


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "two words", "a\nb", "|<b>", "."])
def test_a_corpus_has_a_plain_name_since_folders_are_called_by_it(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"--name: .* is not a plain name"):
        reader.read(write(folder, [{"audio": "a.wav", "label": "x"}]), name)


def test_a_folder_is_no_manifest(folder: Path) -> None:
    with pytest.raises(UserError, match=r"is not a file; give a \.csv or \.jsonl file"):
        reader.read(folder)


def test_a_manifest_without_labels_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="has no labels: fill the column label"):
        reader.read(write(folder, [{"audio": "a.wav"}]))


def test_a_table_without_media_columns_is_refused(folder: Path) -> None:
    (folder / "mine.csv").write_text("name,age\nx,1\n")
    with pytest.raises(UserError, match="line 1 names neither a column file nor audio nor video"):
        reader.read(folder / "mine.csv")
    (folder / "mine.csv").write_text("audio,label,audio\na.wav,joy,sub/b.mp4\n")
    with pytest.raises(UserError, match="line 1 names the column 'audio' twice"):
        reader.read(folder / "mine.csv")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (",audio,label", "line 1 has a column without a name; remove it"),  # as pandas writes its index
        ("audio,label,,", "line 1 has a column without a name; remove it"),
        ("audio,label,mood", "line 1 has the unknown column 'mood'; remove it"),
        (
            "audio,emotion,speaker_id",
            r"the unknown column 'emotion'; rename 'emotion' to label, 'speaker_id' to speaker",
        ),
        ("path,emotion", "neither a column file nor audio nor video; rename 'path' to file, 'emotion' to label"),
        ("audio,label,lable", "unknown column 'lable'; remove it"),  # as there is a label
        ("audio,lable", "unknown column 'lable'; rename 'lable' to label, or remove it"),
        ("audio;label", "separated by commas"),
        ("audio\tlabel", "separated by commas"),
        (
            "Audio,Label",
            r"names neither a column file nor audio nor video; rename 'Audio' to audio, 'Label' to label \(known",
        ),
    ],
)
def test_a_header_of_another_form_is_refused_once(folder: Path, header: str, message: str) -> None:
    (folder / "mine.csv").write_text(header + "\n" + "a.wav,joy,x\n" * 3)
    with pytest.raises(UserError, match=message):
        reader.read(folder / "mine.csv")


@pytest.mark.parametrize("name", ["mine.json", "mine.txt", "mine.JSONL"])
def test_json_lines_are_known_by_what_they_hold(folder: Path, name: str) -> None:
    rows = [{"audio": "a.wav", "label": "joy"}, "", {"audio": "a.wav", "label": "sad"}]
    assert [p.key for p in reader.read(write(folder, rows, name)).utterances] == ["row000001", "row000003"]


def test_one_json_array_is_told_what_to_be(folder: Path) -> None:
    plan = reader.read(write(folder, ['[{"audio": "a.wav"}, {"audio": "a.wav"}]'], "mine.json"))
    assert [(skip.where, skip.reason) for skip in plan.skips] == [
        ("mine.json:1", "is not a JSON object (one per line)")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_may_be_encoded_as_programs_save_it(folder: Path, encoding: str) -> None:
    table = 'id,audio,label,text\r\nu,a.wav,joy,"Caf\u00e9,\r\n""twice"""\r\n\r\nv,a.wav,sad,\r\nw,b.wav,sad,\r\n'
    (folder / "mine.csv").write_bytes(table.encode(encoding))
    plan = reader.read(folder / "mine.csv")
    assert [(p.key, p.text) for p in plan.utterances] == [("u", 'Caf\u00e9, "twice"'), ("v", None)]
    assert [skip.where for skip in plan.skips] == ["mine.csv:6"]  # as an editor counts


def test_a_name_that_is_no_text_is_shown_harmlessly(folder: Path) -> None:
    table = folder / "m\udcff\n.csv"
    table.write_text("audio,label\na.wav,joy\nabsent.wav,joy\n")
    (skip,) = reader.read(table).skips
    assert skip.where == "m\ufffd\ufffd.csv:3"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_file_is_found_however_its_accents_are_spelt(folder: Path, form: Any) -> None:
    (folder / "a.wav").rename(folder / unicodedata.normalize(form, "caf\u00e9.wav"))
    for spelt in ("caf\u00e9.wav", "cafe\u0301.wav"):
        assert reader.read(write(folder, [{"audio": spelt, "label": "x"}])).skips == []


def test_ids_that_differ_in_case_only_are_two_utterances(folder: Path) -> None:
    plan = reader.read(write(folder, [{"audio": "a.wav", "id": name, "label": "x"} for name in ("Same", "same")]))
    assert [p.key for p in plan.utterances] == ["Same", "same"] and plan.skips == []


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(reader.COLUMNS), json_values, max_size=5), max_size=4))
def test_any_row_is_planned_under_a_safe_key_or_reported(folder: Path, rows: list[dict[str, Any]]) -> None:
    plan = reader.read(write(folder, [{"audio": "a.wav", "label": "x", "id": "first"}, *rows]))
    assert len(plan.utterances) + len(plan.skips) == len(rows) + 1
    assert all(is_valid_key(planned.key) for planned in plan.utterances)
