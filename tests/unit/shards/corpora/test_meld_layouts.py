"""MELD as people keep it: wherever sound and pictures of an utterance lie, both are packed, and a choice is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from shards.corpora import meld as reader
from shards.corpora.meld_clips import Clip, clip_of
from shards.packing import pack
from shards.plan import Plan
from tests.unit.shards.conftest import MELD_HEADER

ROWS = {"train": ((0, 0), (0, 1)), "dev": ((3, 2),), "test": ((0, 0),)}

# Folder of the sound and of the pictures, for a split and its official folder; None: no file of that kind.
LAYOUTS: dict[str, tuple[str | None, str]] = {
    "two folders in each split": ("{split}/audio/*.wav", "{split}/video/*.mp4"),
    "wav folders beside the official ones": ("{official}_wav/*.wav", "{official}/*.mp4"),
    "wav folders inside": ("{split}/{official}/wav/*.wav", "{split}/{official}/*.mp4"),
    "wav beside each clip": ("{split}/{official}/*.wav", "{split}/{official}/*.mp4"),
    "modalities above the splits": ("audio/{split}/*.flac", "video/{split}/*.avi"),
    "named after both": ("{split}_audio/*.wav", "{split}_video/*.mp4"),
    "sound in mp4": ("raw/audio/{split}/*.mp4", "raw/video/{split}/*.mp4"),
    "m4a sorts before mp4": ("{split}/*.m4a", "{split}/*.mp4"),
    "the split in the name": ("wavs/{split}_*.wav", "clips/{split}_*.mp4"),
    "only clips": (None, "{split}/{official}/*.mp4"),
    "only clips, in a folder called audio": (None, "audio/{split}/*.mp4"),
}


def write(root: Path, put: Callable[[str, Path], Path], audio: str | None, video: str | None) -> None:
    """A MELD with its files at two patterns."""
    official = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    for split, rows in ROWS.items():
        lines = [f'1,Hi,Ross,joy,positive,{d},{u},1,1,"00:00:01,000","00:00:01,800"' for d, u in rows]
        (root / f"{split}_sent_emo.csv").parent.mkdir(parents=True, exist_ok=True)
        (root / f"{split}_sent_emo.csv").write_text("\n".join([MELD_HEADER, *lines]) + "\n")
        for dialogue, utterance in rows:
            for pattern in filter(None, (audio, video)):
                place = pattern.format(split=split, official=official[split])
                put("clip.mp4", root / place.replace("*", f"dia{dialogue}_utt{utterance}"))


def relative(plan: Plan) -> dict[str, tuple[str | None, str | None]]:
    return {
        planned.key: tuple(None if s is None else plan.shown(s.path) for s in (planned.audio, planned.video))  # type: ignore[misc]
        for planned in plan.utterances
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_modalities_are_found(tmp_path: Path, put: Callable[[str, Path], Path], layout: str) -> None:
    audio, video = LAYOUTS[layout]
    write(tmp_path / "MELD", put, audio, video)
    plan = reader.read(tmp_path / "MELD")
    found = relative(plan)
    assert sorted(found) == ["dev_dia3_utt2", "test_dia0_utt0", "train_dia0_utt0", "train_dia0_utt1"]
    for key, (sound, pictures) in found.items():
        split, _, name = key.partition("_")
        assert pictures is not None and pictures.endswith(video.rpartition("*")[2]) and name in pictures
        assert sound is not None and sound.endswith((audio or video).rpartition("*")[2]) and name in sound
        assert split in sound and split in pictures
        assert (sound == pictures) == (audio is None)
    told = [note for note in plan.notes if note.startswith("the sound of")]
    assert len(told) == (3 if audio else 0) and not any("ignored" in note for note in plan.notes)
    assert plan.skips == []


def test_sound_alone_is_packed_without_pictures(tmp_path: Path, put: Callable[[str, Path], Path]) -> None:
    write(tmp_path / "MELD", put, "{split}/{official}/*.wav", None)
    assert all(pictures is None and sound for sound, pictures in relative(reader.read(tmp_path / "MELD")).values())


def test_a_missing_sound_file_leaves_the_clips_own_sound_and_is_counted(
    tmp_path: Path, put: Callable[[str, Path], Path]
) -> None:
    write(tmp_path / "MELD", put, "{split}/audio/*.wav", "{split}/video/*.mp4")
    (tmp_path / "MELD/train/audio/dia0_utt1.wav").unlink()
    plan = reader.read(tmp_path / "MELD")
    assert relative(plan)["train_dia0_utt1"] == ("train/video/dia0_utt1.mp4", "train/video/dia0_utt1.mp4")
    assert "the sound of 1 utterances of train is read from train/audio/*.wav, not from their video files" in plan.notes
    assert "1 utterances of train have no sound file there; their video file is asked for it" in plan.notes


@pytest.mark.parametrize("other", ["train/faces/dia0_utt0.mp4", "train/train_splits/dia0_utt0.avi", "train/a/b.mp4"])
def test_of_several_files_the_releases_is_packed_and_the_others_are_named(
    tmp_path: Path, put: Callable[[str, Path], Path], other: str
) -> None:
    write(tmp_path / "MELD", put, None, "{split}/{official}/*.mp4")
    second = put("short.mp4", tmp_path / "MELD" / other)
    if other.endswith("b.mp4"):
        second.rename(second.with_name("dia0_utt0.mp4"))
    plan = reader.read(tmp_path / "MELD")
    first = "train/train_splits/dia0_utt0"
    assert str(relative(plan)["train_dia0_utt0"][1]).startswith(first)
    (note,) = [note for note in plan.notes if "ignored" in note]
    assert note.startswith("1 utterances of train have more than one video file: train/train_splits/*.")
    assert "is packed" in note and "is ignored" in note


def test_a_second_name_of_one_file_is_no_second_file(tmp_path: Path, put: Callable[[str, Path], Path]) -> None:
    write(tmp_path / "MELD", put, None, "{split}/{official}/*.mp4")
    shutil.copytree(tmp_path / "MELD/train/train_splits", tmp_path / "MELD/train/links", copy_function=_link)
    assert not any("ignored" in note for note in reader.read(tmp_path / "MELD").notes)


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def test_clips_of_no_split_odd_names_and_second_tables_are_told(
    tmp_path: Path, put: Callable[[str, Path], Path]
) -> None:
    root = tmp_path / "MELD"
    write(root, put, None, "{split}/{official}/*.mp4")
    put("clip.mp4", root / "more/dia7_utt7.mp4")
    put("clip.mp4", root / "train/train_splits/dia0_utt0_dup1.mp4")
    table = (root / "train_sent_emo.csv").read_text()
    (root / "old").mkdir()
    (root / "old/train_sent_emo.csv").write_text(table.replace("joy", "anger"))
    (root / "same").mkdir()
    (root / "same/train_sent_emo.csv").write_text(table)
    plan = reader.read(root)
    assert plan.notes == [
        "train_sent_emo.csv is read; old/train_sent_emo.csv differs from it and is ignored",
        "1 clips lie in no folder named after a split and are ignored (the first: more/dia7_utt7.mp4)",
        "1 media files are not named like clips (diaX_uttY) and are ignored "
        "(the first: train/train_splits/dia0_utt0_dup1.mp4)",
    ]
    assert {p.fields["label"] for p in plan.utterances} == {"joy"}


def test_annotations_beside_the_folder_of_the_release_are_found(meld: Path) -> None:
    expected = len(reader.read(meld).utterances)
    for table in meld.glob("*_sent_emo.csv"):
        table.rename(meld.parent / table.name)
    plan = reader.read(meld.parent)
    assert len(plan.utterances) == expected > 0
    assert all(plan.shown(p.audio.path).startswith("MELD.Raw/") for p in plan.utterances if p.audio)


def test_clips_in_folders_that_name_no_split_are_told_where_nothing_is_left(
    tmp_path: Path, put: Callable[[str, Path], Path]
) -> None:
    write(tmp_path / "MELD", put, None, "clips/*.mp4")
    with pytest.raises(UserError, match=r"nothing that can be packed; .*; 3 clips lie in no folder named after a"):
        pack("meld", tmp_path / "MELD", tmp_path / "out")


def test_links_to_content_that_was_not_fetched_are_told(tmp_path: Path, put: Callable[[str, Path], Path]) -> None:
    write(tmp_path / "MELD", put, None, "{split}/{official}/*.mp4")
    clip = tmp_path / "MELD/dev/dev_splits_complete/dia3_utt2.mp4"
    clip.unlink()
    clip.symlink_to("../../.git/annex/objects/x")
    plan = reader.read(tmp_path / "MELD")
    assert [skip.reason for skip in plan.skips] == ["dia3_utt2: the clip is absent"]
    assert plan.notes == [
        "1 media files are links to nothing, as of a data set whose content was not fetched "
        "(the first: dev/dev_splits_complete/dia3_utt2.mp4)"
    ]


def test_a_split_that_was_not_unpacked_is_named(meld: Path) -> None:
    shutil.rmtree(meld / "train")
    (meld / "train_sent_emo.csv").unlink()
    (meld / "train.tar.gz").write_bytes(b"\x1f\x8b")
    assert "the train split is absent: train.tar.gz is not unpacked" in reader.read(meld).notes


@pytest.mark.parametrize(
    ("path", "clip"),
    [
        ("train/train_splits/dia1_utt2.mp4", Clip("train", 1, 2)),
        ("output_repeated_splits_test/final_videos_testdia1_utt2.mp4", Clip("test", 1, 2, True)),
        ("clips/final_videos_testdia1_utt2.wav", Clip("test", 1, 2, True)),
        ("validation/dia1_utt2.wav", Clip("dev", 1, 2)),
        ("test/train/dia1_utt2.wav", Clip("train", 1, 2)),
        ("train_dev/x/dia1_utt2.wav", Clip("", 1, 2)),
        ("contest/Dia01_Utt02.MP4", Clip("", 1, 2)),
        ("train/dia1_utt2_face.mp4", None),
        ("train/xdia1_utt2.mp4", None),
    ],
)
def test_a_clip_is_known_by_its_own_name_and_its_folders(path: str, clip: Clip | None) -> None:
    assert clip_of(path) == clip


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        ("00:16:16,059", "00:16:21,731", 5.672),
        ("0:59:59,900", "1:00:00,100", 0.2),
        ("0:0:1,000", "0:0:1,064", 0.064),
        ("00:00:01.500", "00:00:02.000", 0.5),
        ("00:00:02,000", "00:00:01,000", None),
        ("00:00:02,000", "00:00:02,000", None),
        ("a", "00:00:01,000", None),
        ("", "", None),
    ],
)
def test_the_annotated_length_is_end_minus_start(start: str, end: str, seconds: float | None) -> None:
    assert reader.seconds_of({"StartTime": start, "EndTime": end}) == seconds


def test_rows_whose_times_cannot_be_read_are_counted(meld: Path) -> None:
    path = meld / "train_sent_emo.csv"
    path.write_text(path.read_text().replace("0:16:23,442", "soon"))
    assert any(
        note.startswith("2 utterances of train have no StartTime and EndTime") for note in reader.read(meld).notes
    )
