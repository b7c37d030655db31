"""Whatever befalls a file of any corpus that can be packed: it is read as far as it can be, or refused in one line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from shards.corpora import CORPORA, read_corpus
from shards.plan import Plan
from shards.synthetic.named import LFS_POINTER
from tests.unit.shards.corpora.places import NO_FILE
from tests.unit.shards.corpora.releases import NOT_COUNTED, UTTERANCES, Put, Release, small

CONTENT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "first line only": lambda data: data.splitlines()[0] if data.splitlines() else b"",
    "cut": lambda data: data[: len(data) // 2],
    "without its first line": lambda data: data.partition(b"\n")[2],
    "UTF-16 with its mark": lambda data: data.decode("latin-1").encode("utf-16"),
    "UTF-16 without it": lambda data: data.decode("latin-1").encode("utf-16-le"),
    "bytes that are no UTF-8": lambda data: data.replace(b"e", b"\xe9\xff"),
    "NUL in the cells": lambda data: data.replace(b"0", b"\x000"),
    "semicolons": lambda data: data.replace(b",", b";"),
    "tabs": lambda data: data.replace(b",", b"\t").replace(b";", b"\t"),
    "a path that climbs": lambda data: data.replace(b"0", b"/../0"),
    "an absolute path": lambda data: data.replace(b"0", b"/etc/passwd"),
    "carriage returns": lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r"),
    "every line twice": lambda data: data + data.partition(b"\n")[2],
    "an open quote": lambda data: data + b'9,"never closed',
    "one long line": lambda data: data.replace(b"\n", b" ") * 3,
    "a terminal's escapes": lambda data: data.replace(b"e", b"\x1b[2J\x07e"),
    "Markdown": lambda data: data.replace(b"a", b"|<script>"),
    "numbers beyond all": lambda data: data.replace(b"0", b"9" * 400),
    "no numbers": lambda data: data.replace(b"5", b"nan").replace(b"4", b"inf").replace(b"1", b"-"),
    "digits of another script": lambda data: data.replace(b"1", "١".encode()),
    "a picture": lambda data: b"\x89PNG\r\n\x1a\n" + data,
    "an archive": lambda data: b"PK\x03\x04" + data,
    "a page": lambda data: b"<!DOCTYPE html><html><body>Log in</body></html>",
    "a placeholder of Git LFS": lambda data: LFS_POINTER,
}


def _renamed(name: str) -> Callable[[Path], None]:
    return lambda path: (path.rename(path.with_name(name.replace("*", path.stem) + path.suffix)), None)[1]


PLACES: dict[str, Callable[[Path], None]] = {
    **NO_FILE,
    "hidden": _renamed(".*"),
    "a second copy's name": _renamed("* (1)"),
    "a part of a download": lambda path: (path.rename(path.with_name(path.name + ".part")), None)[1],
    "without an ending": lambda path: (path.rename(path.with_suffix("")), None)[1],
    "a name that no terminal should see": _renamed("\x1b[2J\n*"),
    "a name that is no UTF-8": lambda path: os.rename(
        os.fsencode(path), os.fsencode(path.parent) + b"/\xff" + os.fsencode(path.name)
    ),
}
Damage = Callable[[Path], None]


def _content(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path: (path.write_bytes(change(path.read_bytes())), None)[1]


DAMAGES: dict[str, Damage] = {**{name: _content(change) for name, change in CONTENT.items()}, **PLACES}
Fresh = Callable[[str], Release]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory, put: Put) -> dict[str, tuple[Path, Release, set[str]]]:
    """Corpus -> its folder, the release in it and the keys that its reader finds."""
    root, found = tmp_path_factory.mktemp("originals"), {}
    for name in CORPORA.names():
        release = small(name, root / name, put)
        found[name] = (root / name, release, {one.key for one in read_corpus(name, release.source).utterances})
    return found


@pytest.fixture
def fresh(originals: dict[str, tuple[Path, Release, set[str]]], tmp_path: Path) -> Iterator[Fresh]:
    """A corpus -> a release of the test's own."""

    def copy(name: str) -> Release:
        folder, release, _ = originals[name]
        own = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(folder, own)

        def moved(path: Path) -> Path:
            return own / path.relative_to(folder)

        labels = None if release.labels is None else moved(release.labels)
        return Release(moved(release.source), labels, moved(release.recording))

    yield copy


def planned(name: str, release: Release) -> Plan | None:
    """What is read; None where it is refused, in one line that a terminal can show."""
    try:
        plan = read_corpus(name, release.source)
    except UserError as error:
        assert "\n" not in str(error) and str(error).isprintable() and len(str(error)) < 1000
        return None
    for one in plan.utterances:
        assert one.audio is not None or one.video is not None
        for source in (one.audio, one.video):
            assert source is None or source.path.is_relative_to(release.source.parent)
        assert (one.text or "").isprintable() and str(one.fields["speaker"]).isprintable() and one.key.isprintable()
    assert all(skip.reason.isprintable() and skip.where.isprintable() for skip in plan.skips)
    assert all(note.isprintable() for note in plan.notes)
    return plan


def test_every_corpus_that_can_be_packed_is_damaged_and_counted_here() -> None:
    assert set(UTTERANCES) | set(NOT_COUNTED) == set(CORPORA.names()) and len(DAMAGES) >= 20


@pytest.mark.parametrize("name", CORPORA.names())
def test_the_small_release_is_read_whole(name: str, originals: dict[str, tuple[Path, Release, set[str]]]) -> None:
    _, release, keys = originals[name]
    assert len(keys) >= 3 and planned(name, release) is not None


@pytest.mark.parametrize("name", CORPORA.names())
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_labels_is_read_as_far_as_it_can_be_or_refused(
    name: str, damage: str, originals: dict[str, tuple[Path, Release, set[str]]], fresh: Fresh
) -> None:
    release = fresh(name)
    victim = release.labels or release.recording  # whose name has the labels
    DAMAGES[damage](victim)
    plan = planned(name, release)
    if plan is not None:
        keys = [one.key for one in plan.utterances]
        assert len(keys) == len(set(keys)) and set(keys) <= originals[name][2]


@pytest.mark.parametrize("name", CORPORA.names())
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_recording_costs_its_own_utterance_at_most(
    name: str, damage: str, originals: dict[str, tuple[Path, Release, set[str]]], fresh: Fresh
) -> None:
    release = fresh(name)
    DAMAGES[damage](release.recording)
    plan, keys = planned(name, release), originals[name][2]
    assert plan is not None
    found = {one.key for one in plan.utterances}
    assert found <= keys and len(found) >= len(keys) - 1
