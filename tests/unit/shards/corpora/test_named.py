"""Corpora whose names carry everything: published counts from skeletons of their names, folds of published files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.sample import Utterance, is_valid_key
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import get_protocol
from shards.corpora import CORPORA, corpus_of, read_corpus
from shards.plan import Plan
from shards.synthetic.named import LFS_POINTER, mead_names, ravdess_names, savee_names, write_release
from tests.unit.shards.corpora.releases import NAMES, emodb_names, tess_names

PUBLISHED = Path(__file__).parent / "published"
COUNTS = {"cremad": (7442, 91), "ravdess": (1440, 24), "savee": (480, 4), "emodb": (535, 10), "tess": (2800, 2)}


def utterances_of(plan: Plan) -> list[Utterance]:
    return [Utterance(key=one.key, duration=1.0, **one.fields) for one in plan.utterances]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plan]:
    found = {}
    for name, names in NAMES.items():
        folder = tmp_path_factory.mktemp(name)
        write_release(folder, names(), b"RIFF")
        found[name] = read_corpus(name, folder)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_skeleton_of_the_names_has_the_published_counts(releases: dict[str, Plan], name: str) -> None:
    plan, corpus = releases[name], corpus_of(name)
    utterances = utterances_of(plan)
    assert (len(utterances), len({one.speaker for one in utterances})) == COUNTS[name]
    assert corpus.differences(corpus.count(utterances)) == {}
    assert plan.skips == [] and len({one.key for one in utterances}) == len(utterances)
    assert all(is_valid_key(one.key) and (one.attributes or {})["gender"] in ("female", "male") for one in utterances)
    assert any("1 media files are not named as" in note for note in plan.notes)  # the litter
    assert all(one.video is None for one in plan.utterances)


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_that_a_corpus_names_divides_it_without_a_leak(releases: dict[str, Plan], name: str) -> None:
    utterances = utterances_of(releases[name])
    for protocol in CORPORA.get(name).protocols:
        if protocol == "all":
            continue
        for fold in get_protocol(protocol, utterances).folds[:3]:
            parts = get_protocol(protocol, utterances).split(utterances, DataConfig(protocol=protocol, test_fold=fold))
            assert all(parts.values()) and sum(map(len, parts.values())) == len(utterances)


FOLDS: dict[str, Any] = json.loads((PUBLISHED / "folds.json").read_text())


@pytest.mark.parametrize("protocol", FOLDS)
def test_folds_are_those_of_the_published_files(releases: dict[str, Plan], protocol: str) -> None:
    utterances = utterances_of(releases[FOLDS[protocol]["corpus"]])
    for fold, wanted in FOLDS[protocol]["folds"].items():
        data = DataConfig(protocol=protocol, test_fold=int(fold))
        parts = get_protocol(protocol, utterances).split(utterances, data)
        for part, digest in wanted.items():
            keys = sorted(utterances[number].key for number in parts[part])
            assert hashlib.sha256("\n".join(keys).encode()).hexdigest() == digest, (fold, part)


def test_the_women_of_crema_d_are_43() -> None:
    from shards.corpora.cremad import _WOMEN

    assert len(_WOMEN) == 43


@pytest.mark.parametrize(
    ("corpus", "files", "sound", "pictures"),
    [
        ("ravdess", ["03-01-05-01-01-01-02.wav", "01-01-05-01-01-01-02.mp4"], ".wav", "01-01"),
        ("ravdess", ["02-01-05-01-01-01-02.mp4", "01-01-05-01-01-01-02.mp4"], ".mp4", "01-01"),
        ("ravdess", ["02-01-05-01-01-01-02.mp4"], None, "02-01"),
        ("cremad", ["VideoFlash/1001_DFA_ANG_XX.flv", "AudioWAV/1001_DFA_ANG_XX.wav"], ".wav", "1001"),
        ("cremad", ["VideoFlash/1001_DFA_ANG_XX.flv"], ".flv", "1001"),
        ("savee", ["AudioVisualClip/DC/a1.avi", "AudioData/DC/a01.wav"], ".wav", "a1"),
    ],
)
def test_sound_and_pictures_of_an_utterance_are_brought_together(
    tmp_path: Path, corpus: str, files: list[str], sound: str | None, pictures: str
) -> None:
    write_release(tmp_path, files, b"x", litter=False)
    (one,) = read_corpus(corpus, tmp_path).utterances
    assert (one.audio and one.audio.path.suffix) == sound
    assert one.video is not None and one.video.path.name.startswith(pictures)


def test_songs_of_ravdess_are_left_out_and_counted(tmp_path: Path) -> None:
    write_release(tmp_path, ["03-02-05-01-01-01-02.wav", "03-01-05-01-01-01-02.wav"], b"x", litter=False)
    plan = read_corpus("ravdess", tmp_path)
    assert len(plan.utterances) == 1 and any("1 files are songs and are left out" in note for note in plan.notes)


def test_the_second_copy_that_a_download_of_ravdess_holds_is_told(tmp_path: Path) -> None:
    names = ["Actor_02/03-01-05-01-01-01-02.wav", "audio_speech_actors_01-24/Actor_02/03-01-05-01-01-01-02.wav"]
    write_release(tmp_path, names, b"x", litter=False)
    plan = read_corpus("ravdess", tmp_path)
    assert len(plan.utterances) == 1 and any("more than one audio file" in note for note in plan.notes)


def _rename(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.rename(path.with_name(name.replace("*", path.stem)))

    return change


def _content(data: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_bytes(data)

    return change


def _no_text(path: Path) -> None:
    os.rename(os.fsencode(path), os.fsencode(path.parent) + b"/1001_DFA_\xff.wav")


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.wav")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


LOST: dict[str, Callable[[Path], None]] = {
    "absent": Path.unlink,
    "a placeholder of Git LFS": _content(LFS_POINTER),
    "a link to nothing": _link,
    "a link to itself": _loop,
    "a pipe": _pipe,
    "a folder": _folder,
    "another ending": _rename("*.txt"),
    "no ending": _rename("*"),
    "a copy's name": _rename("* (1).wav"),
    "a part of a download": _rename("*.wav.part"),
    "an AppleDouble file": _rename("._*.wav"),
    "hidden": _rename(".*.wav"),
    "cut short": _rename("1001_DFA.wav"),
    "a label that there is not": _rename("1001_DFA_JOY_XX.wav"),
    "an actor that there is not": _rename("2001_DFA_ANG_XX.wav"),
    "a sentence that there is not": _rename("1001_ABC_ANG_XX.wav"),
    "an intensity that there is not": _rename("1001_DFA_ANG_YY.wav"),
    "more than a name": _rename("*_extra.wav"),
    "Arabic digits": _rename("١٠٠١_DFA_ANG_XX.wav"),
    "not UTF-8": _no_text,
}
KEPT: dict[str, Callable[[Path], None]] = {
    "empty": _content(b""),
    "in capitals": _rename("1001_DFA_ANG_XX.WAV"),
    "in small letters": _rename("1001_dfa_ang_xx.wav"),
    "one X": _rename("1001_DFA_ANG_X.wav"),
}


@pytest.mark.parametrize("damage", [*LOST, *KEPT])
def test_a_damaged_file_costs_its_utterance_alone(tmp_path: Path, damage: str) -> None:
    names = [f"AudioWAV/1001_DFA_{label}_XX.wav" for label in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")]
    write_release(tmp_path, names, b"RIFF")
    ({**LOST, **KEPT})[damage](tmp_path / names[0])
    plan = read_corpus("cremad", tmp_path)
    assert len(plan.utterances) == (6 if damage in KEPT else 5)
    assert all(one.fields["speaker"] == "1001" for one in plan.utterances)


ANYWHERE = [name for name in LOST if list(LOST).index(name) < list(LOST).index("cut short")]
SOME: dict[str, list[str]] = {
    "ravdess": ravdess_names()[:6],
    "savee": savee_names()[:6],
    "emodb": emodb_names()[:6],
    "tess": tess_names()[:6],
    "mead": [name for name in mead_names(("M003",)) if "/front/" in name][:6],
}
MISNAMED = {
    "ravdess": [
        *("03-01-09-01-01-01-01", "03-01-00-01-01-01-01", "03-01-01-02-01-01-01", "03-01-01-03-01-01-01"),
        *("03-01-01-01-03-01-01", "03-01-01-01-01-03-01", "03-01-01-01-01-01-25", "03-01-01-01-01-01-00"),
        *("04-01-01-01-01-01-01", "03-01-01-01-01-01", "03_01_01_01_01_01_01", "٠٣-01-01-01-01-01-01"),
    ],
    "savee": ["a00", "a16", "x01", "a", "a001", "a1x", "a٠١", "01a", "n31", "saa01"],
    "emodb": ["01a01Fa", "03a03Fa", "03a01Xa", "03a01F", "03a01Faa", "03a01F1", "٠٣a01Fa", "3a01Fa", "03c01Fa"],
    "tess": [
        *("OAF_back_joy", "XAF_back_angry", "OAF__angry", "OAF_back", "OAF_back_angry_extra", "OAF_b4ck_angry"),
        *("OAF back angry", "OAF_back_", "back_angry"),
    ],
    "mead": ["1", "0001", "abc", "٠٠١", "001_extra", "01", "-01", "00l", "001 "],
}


@pytest.mark.parametrize("corpus", SOME)
@pytest.mark.parametrize("damage", ANYWHERE)
def test_whatever_befalls_a_file_of_any_of_them_costs_its_utterance_alone(
    tmp_path: Path, corpus: str, damage: str
) -> None:
    write_release(tmp_path, SOME[corpus], b"RIFF")
    whole = {one.key for one in read_corpus(corpus, tmp_path).utterances}
    LOST[damage](tmp_path / SOME[corpus][0])
    plan = read_corpus(corpus, tmp_path)
    assert len(whole) == 6 and {one.key for one in plan.utterances} < whole and len(plan.utterances) == 5
    assert all(skip.reason.isprintable() for skip in plan.skips)


@pytest.mark.parametrize(("corpus", "name"), [(corpus, name) for corpus, names in MISNAMED.items() for name in names])
def test_a_name_that_the_release_has_not_is_no_utterance_and_is_told(tmp_path: Path, corpus: str, name: str) -> None:
    write_release(tmp_path, SOME[corpus], b"RIFF", litter=False)
    path = tmp_path / SOME[corpus][0]
    path.rename(path.with_name(name + path.suffix))
    plan = read_corpus(corpus, tmp_path)
    assert len(plan.utterances) == 5
    assert any("1 media files are not named as" in note and name in note for note in plan.notes)


def test_mead_is_packed_from_the_front_with_its_own_sound_and_other_cameras_are_told(tmp_path: Path) -> None:
    write_release(tmp_path, mead_names(), b"x")
    plan = read_corpus("mead", tmp_path)
    utterances = utterances_of(plan)
    assert len(utterances) == 88 and {one.speaker for one in utterances} == {"M003", "W009"}
    assert all(one.video is not None and "/video/front/" in one.video.path.as_posix() for one in plan.utterances)
    assert all(one.audio is not None and one.audio.path.suffix == ".m4a" for one in plan.utterances)
    assert any("more than one video file" in note for note in plan.notes)
    assert {(one.attributes or {})["intensity"] for one in utterances if one.label == "neutral"} == {"1"}
    three = [f"W0{number}" for number in (10, 11, 12)]
    for actor in three:
        write_release(tmp_path, mead_names((actor,)), b"x", litter=False)
    found = utterances_of(read_corpus("mead", tmp_path))
    data = DataConfig(protocol="mead8", test_fold="W010")
    parts = get_protocol("mead8", found).split(found, data)
    assert {found[number].speaker for number in parts["test"]} == {"W010"} and len(parts["test"]) == 44


def test_a_release_that_was_never_fetched_is_told_as_one(tmp_path: Path) -> None:
    write_release(tmp_path, ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1001_DFA_SAD_XX.wav"], LFS_POINTER, litter=False)
    plan = read_corpus("cremad", tmp_path)
    assert plan.utterances == [] and len(plan.skips) == 2 and "git lfs pull" in plan.skips[0].reason


@pytest.mark.parametrize("name", NAMES)
def test_another_folder_is_refused_with_an_example_of_a_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "song.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"holds no file that is named as .* names its own, such as"):
        read_corpus(name, tmp_path)
