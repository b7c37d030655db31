"""The columns of an index say what the index says, from memory, from a file and from the text piece by piece."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format import columns_cache, columns_file, index_stream
from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.columns_cache import open_columns
from dual_hpc.data.format.columns_file import COLUMNS_NAME, read_columns, write_columns
from dual_hpc.data.format.index import INDEX_NAME, IndexedSample, Shard, ShardIndex, dataset_id, read_index, write_index
from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.format.table import SampleTable
from dual_hpc.data.format.utterances import Utterances, coded
from dual_hpc.errors import EnvironmentFault, UserError

TEXT = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=8), st.sampled_from(['},{"name":"', '"shards":[', "]}", "\\"])
)
NUMBER = st.floats(allow_nan=False)
UTTERANCES = st.builds(
    Utterance,
    key=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,9}", fullmatch=True),
    corpus=st.sampled_from(["iemocap", "meld"]),
    split=st.none() | TEXT,
    session=st.none() | st.integers(-5, 2**40),
    dialogue=TEXT,
    utterance=st.integers(0, 9),
    speaker=TEXT,
    label=st.none() | TEXT,
    valence=st.none() | NUMBER,
    scripted=st.none() | st.booleans(),
    duration=st.floats(1e-3, 1e5),
    fps=st.none() | NUMBER,
    clipped=st.none() | st.integers(0, 3),
    has_text=st.booleans(),
    sources=st.dictionaries(TEXT, TEXT, max_size=2),
    options=st.dictionaries(st.sampled_from(["crop", "faces"]), TEXT),
)
SAMPLES = st.builds(
    IndexedSample,
    meta=UTTERANCES,
    members=st.dictionaries(st.sampled_from(["json", "flac", "mp4"]), st.tuples(st.integers(0, 2**62), st.just(7))),
    crc32=st.dictionaries(st.sampled_from(["json", "flac"]), st.integers(0, 2**32 - 1)),
)
SHARDS = st.lists(st.lists(SAMPLES, max_size=3), max_size=3)


def index_of(shards: list[list[IndexedSample]]) -> ShardIndex:
    made = [Shard(name=f"{n}.tar", bytes=n, sha256=f"{n:064x}", samples=samples) for n, samples in enumerate(shards)]
    return ShardIndex(dataset_id=dataset_id(made), corpus="any", options={"name": '"}'}, shards=made)


def some(count: int = 5, **fields: Any) -> ShardIndex:
    """An index with `count` samples in shards of two."""
    samples = [
        IndexedSample(
            meta=Utterance(
                **{"corpus": "c", "dialogue": "d", "utterance": n, "speaker": "s", "duration": n + 1.0, **fields},
                key=f"k{n}",
            ),
            members={"flac": (512 * n, 7)},
            crc32={"flac": n},
        )
        for n in range(count)
    ]
    return index_of([samples[at : at + 2] for at in range(0, count, 2)])


def said(columns: Columns) -> Any:
    """All that columns say, in plain data."""
    table = SampleTable([Path()], [columns])
    metas = [meta.model_dump() for meta in Utterances([columns])]
    head = (columns.dataset_id, columns.corpus, columns.kind, columns.options, columns.shards)
    return head, metas, [table.ref(number) for number in range(len(table))]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's cache, and every index counts as large."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    yield tmp_path / "cache" / "dual-hpc"


def put(folder: Path, index: ShardIndex) -> Path:
    folder.mkdir(exist_ok=True)
    write_index(folder, index)
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SHARDS)
def test_columns_say_what_the_index_says_from_memory_a_file_and_the_text(tmp_path: Path, shards: Any) -> None:
    index = index_of(shards)
    folder = put(tmp_path / "s", index)
    columns = Columns.of(index)
    samples = [sample for shard in index.shards for sample in shard.samples]
    assert list(Utterances([columns])) == [sample.meta for sample in samples]
    streamed, digest = index_stream._streamed(folder / INDEX_NAME)
    write_columns(tmp_path / "file", columns, digest)
    mapped = read_columns(tmp_path / "file", digest)
    assert mapped is not None and said(columns) == said(streamed) == said(mapped)
    assert digest == index_stream.sha256_of_index(folder)
    assert read_columns(tmp_path / "file", "0" * 64) is None


@given(st.lists(SHARDS, min_size=1, max_size=3))
def test_a_column_over_several_folders_is_that_of_their_utterances(folders: Any) -> None:
    indexes = [index_of(shards) for shards in folders]
    utterances = Utterances([Columns.of(index) for index in indexes])
    expected = [sample.meta for index in indexes for shard in index.shards for sample in shard.samples]
    assert list(utterances) == expected == utterances[:] and utterances[::-2] == expected[::-2]
    for field in set(Utterance.model_fields) - {"key", "duration", "sources"}:
        for sequence in (utterances, expected):
            codes, values = coded(sequence, field)
            assert [values[code] for code in codes.tolist()] == [getattr(one, field) for one in expected]
            assert len(set(map(repr, values))) == len(values) == len(set(codes.tolist()))


@pytest.mark.parametrize("chunk", [64, 1 << 24])
def test_an_index_is_read_piece_by_piece_whatever_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(index_stream, "_CHUNK", chunk)
    folder = put(tmp_path / "s", some(9, label='},{"name":"x"', speaker='"shards":['))
    assert said(index_stream.columns_of_index(folder)[0]) == said(Columns.of(read_index(folder)))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: json.dumps(json.loads(text), indent=1),
        lambda text: json.dumps(dict(reversed(json.loads(text).items()))),
        lambda text: text + "\n ",
    ],
    ids=["indented", "other order", "spaces"],
)
def test_an_index_that_another_program_wrote_is_read(tmp_path: Path, change: Any) -> None:
    folder = put(tmp_path / "s", some())
    (folder / INDEX_NAME).write_text(change((folder / INDEX_NAME).read_text()))
    assert said(open_columns(folder, least=0)) == said(Columns.of(some()))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text.replace('"key":"k3"', '"key":"../k3"'),
        lambda text: text.replace('"format_version":1', '"format_version":2'),
        lambda text: text.replace("]}]}", "]},]}"),
        lambda text: "{}",
        lambda text: text + text,
    ],
)
def test_what_is_no_index_is_refused_as_before(tmp_path: Path, change: Any) -> None:
    folder = put(tmp_path / "s", some())
    (folder / INDEX_NAME).write_text(change((folder / INDEX_NAME).read_text()))
    with pytest.raises(UserError) as expected:
        read_index(folder)
    with pytest.raises(UserError) as found:
        open_columns(folder, least=0)
    assert str(found.value) == str(expected.value)


def test_the_first_reader_keeps_the_columns_outside_of_the_folder_and_the_next_maps_them(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "s", some())
    first = open_columns(folder, least=0)
    assert os.listdir(folder) == [INDEX_NAME] and len(list(cache.glob("*.columns"))) == 1
    monkeypatch.setattr(columns_cache, "columns_of_index", lambda *_: pytest.fail("made again"))
    assert said(open_columns(folder, least=0)) == said(first) == said(Columns.of(some()))


def test_columns_of_an_index_that_was_edited_are_not_believed(tmp_path: Path, cache: Path) -> None:
    folder = put(tmp_path / "s", some(label="sad"))
    write_columns(folder / COLUMNS_NAME, *index_stream.columns_of_index(folder))
    open_columns(folder, least=0)
    (folder / INDEX_NAME).write_text((folder / INDEX_NAME).read_text().replace("sad", "joy"))
    assert coded(Utterances([open_columns(folder, least=0)]), "label")[1] == ["joy"]


@pytest.mark.parametrize("place", ["beside", "cache"])
def test_a_damaged_file_is_not_believed_wherever_the_damage_is(tmp_path: Path, cache: Path, place: str) -> None:
    folder = put(tmp_path / "s", some())
    expected = said(open_columns(folder, least=0))
    (kept,) = cache.glob("*.columns")
    path = folder / COLUMNS_NAME if place == "beside" else kept
    whole = kept.read_bytes()
    for position in range(0, len(whole), 397):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        kept.unlink(missing_ok=place == "beside") if place == "beside" else None
        assert said(open_columns(folder, least=0)) == expected
    for content in (b"", whole[: len(whole) // 2], whole + b"x", b"x" * 100):
        path.write_bytes(content)
        assert said(open_columns(folder, least=0)) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda c: {"member_end": c.member_end + 1},
        lambda c: {"layout_of": c.layout_of - 1},
        lambda c: {"layouts": [*c.layouts[:-1], ("flac", "mp4")]},
        lambda c: {"spans": c.spans - 10_000},
        lambda c: {"durations": np.full_like(c.durations, np.nan)},
        lambda c: {"shards": c.shards[:-1]},
        lambda c: {"crc32": c.crc32[:-1]},
        lambda c: {"crc32": c.crc32.astype(np.int32)},
        lambda c: {"fields": {**c.fields, "label": _changed(c.fields["label"], codes=c.fields["label"].codes + 1)}},
        lambda c: {"keys": _changed(c.keys, offsets=c.keys.offsets[::-1].copy())},
        lambda c: {"keys": _changed(c.keys, data=np.full_like(c.keys.data, ord("/")))},
    ],
)
def test_columns_that_point_outside_of_themselves_are_refused_though_their_hash_is_right(
    tmp_path: Path, change: Any
) -> None:
    folder = put(tmp_path / "s", some())
    columns, digest = index_stream.columns_of_index(folder)
    write_columns(folder / COLUMNS_NAME, _changed(columns, **change(columns)), digest)
    assert read_columns(folder / COLUMNS_NAME, digest) is None
    assert said(open_columns(folder, least=0)) == said(columns)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"0.tar"', b'"../ta"'),
        (b'"offset":64', b'"offset":65'),
        (b'"offset":64', b'"offset":-1'),
        (b'"<i8"', b'"|O8"'),
        (b'"shape":[5]', b'"shape":[9]'),
        (b'"keys.data"', b'"keys.dato"'),
    ],
)
def test_a_header_that_names_what_is_not_there_is_refused_though_its_hash_is_right(
    tmp_path: Path, old: bytes, new: bytes
) -> None:
    folder = put(tmp_path / "s", some())
    columns, digest = index_stream.columns_of_index(folder)
    path = folder / COLUMNS_NAME
    write_columns(path, columns, digest)
    whole = path.read_bytes()
    magic, rest = whole[: columns_file._PREFIX - 32], whole[columns_file._PREFIX :]
    assert old in rest and len(old) == len(new)
    rest = rest.replace(old, new)
    path.write_bytes(magic + hashlib.sha256(rest).digest() + rest)
    assert read_columns(path, digest) is None


def test_metadata_of_another_type_are_a_mistake_of_the_folder_and_no_crash(tmp_path: Path) -> None:
    columns = Columns.of(some(label="sad"))
    wrong = _changed(columns.fields["label"], texts=_changed(columns.fields["label"].texts, data=_bytes(b"12345")))
    utterances = Utterances([_changed(columns, fields={**columns.fields, "label": wrong})])
    for ask in (lambda: coded(utterances, "label"), lambda: utterances[0]):
        with pytest.raises(UserError, match="damaged"):
            ask()


def test_a_place_that_cannot_be_written_costs_time_only(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "s", some())
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    assert said(open_columns(folder, least=0)) == said(Columns.of(some()))
    assert list((tmp_path / "tmp").glob("*/*.columns"))
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    assert said(open_columns(folder, least=0)) == said(Columns.of(some()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    cache.mkdir(parents=True)
    cache.chmod(0o777)  # somebody else may put files there
    assert said(open_columns(folder, least=0)) == said(Columns.of(some()))
    assert not list(cache.iterdir())


@pytest.mark.parametrize("name", [COLUMNS_NAME, INDEX_NAME])
def test_a_pipe_instead_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = put(tmp_path / "s", some())
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    if name == COLUMNS_NAME:
        assert said(open_columns(folder, least=0)) == said(Columns.of(some()))
    else:
        with pytest.raises(EnvironmentFault, match="pipe"):
            open_columns(folder, least=0)


def test_a_large_index_is_written_with_its_columns_and_a_small_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "s", some())
    assert os.listdir(folder) == [INDEX_NAME]
    monkeypatch.setattr("dual_hpc.data.format.index.LEAST_INDEX", 1)
    put(folder, some(7))
    assert said(read_columns(folder / COLUMNS_NAME, index_stream.sha256_of_index(folder))) == said(Columns.of(some(7)))  # type: ignore[arg-type]
    assert (folder / COLUMNS_NAME).stat().st_mode & 0o022 == 0
    monkeypatch.setattr("dual_hpc.data.format.index.LEAST_INDEX", 1 << 20)
    put(folder, some(3))
    assert os.listdir(folder) == [INDEX_NAME] and len(ShardDataset([folder])) == 3


def test_several_processes_make_the_columns_once(tmp_path: Path, cache: Path) -> None:
    folder = put(tmp_path / "s", some(400))
    code = (
        "import sys, time; from pathlib import Path; from dual_hpc.data.format import columns_cache as c;"
        "make = c.columns_of_index\n"
        "def slow(*given):\n    print('made', flush=True); time.sleep(1); return make(*given)\n"
        "c.columns_of_index = slow; print(len(c.open_columns(Path(sys.argv[1]), least=0)))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0].split() for process in started]
    assert [words[-1] for words in outputs] == ["400"] * 3
    assert sum("made" in words for words in outputs) == 1
    assert len(list(cache.glob("*.columns"))) == 1 and not list(cache.glob(".*.tmp"))


def _changed(thing: Any, **fields: Any) -> Any:
    """The same with other fields."""
    return type(thing)(**{**vars(thing), **fields})


def _bytes(data: bytes) -> Any:
    return np.frombuffer(data, np.uint8)
