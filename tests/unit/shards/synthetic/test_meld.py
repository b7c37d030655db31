from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from dual_hpc.errors import UserError
from shards.corpora.meld import seconds_of
from shards.synthetic import generate, meld
from shards.synthetic.meld_plan import DEFECTS, Row, plan


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("corpora") / "MELD.Raw"
    generate("meld", out, 400, media="tiny", progress=False)
    return out


def table(root: Path, split: str, short: bool = False) -> list[dict[str, str]]:
    with open(meld.csv_path(root, split, short), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def clip(tmp_path: Path, row: Row) -> Path:
    meld.write_clip(tmp_path, False, row, seed=0, tiny=None)
    return tmp_path / meld.OFFICIAL[row.split] / f"dia{row.dialogue}_utt{row.utterance}.mp4"


def sound(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def test_the_csvs_have_the_official_columns_and_line_ends(corpus: Path) -> None:
    for split in meld.OFFICIAL:
        raw = meld.csv_path(corpus, split, short=False).read_bytes()
        assert raw.startswith(b"Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,")
        assert raw.count(b"\n") == raw.count(b"\r\n")


def test_every_row_has_its_clip_but_the_absent_one(corpus: Path) -> None:
    missing = []
    for split, folder in meld.OFFICIAL.items():
        for row in table(corpus, split):
            name = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.mp4"
            if not (corpus / folder / name).exists():
                missing.append((split, name))
    assert missing == [("dev", "dia110_utt7.mp4")]
    assert sum(len(table(corpus, split)) for split in meld.OFFICIAL) == 400


def test_clips_without_a_row_and_litter_lie_about(corpus: Path) -> None:
    test_folder = corpus / meld.OFFICIAL["test"]
    assert list(test_folder.glob("final_videos_test*.mp4")) and list(corpus.rglob("._*.mp4"))
    for split, extra in (("dev", 4), ("test", 5)):
        clips = [p for p in (corpus / meld.OFFICIAL[split]).glob("*.mp4") if not p.name.startswith("._")]
        absent = sum(s == split and kind == "absent" for (s, _, _), kind in DEFECTS.items())
        assert len(clips) == len(table(corpus, split)) + extra - absent


def test_times_have_one_digit_hours_in_a_quarter_and_numbers_repeat(corpus: Path) -> None:
    rows = table(corpus, "train")
    assert all(re.match(r"^\d{1,2}:\d\d:\d\d,\d{3}$", row["StartTime"]) for row in rows)
    assert 0.15 < np.mean([row["StartTime"][1] == ":" for row in rows]) < 0.35
    assert Counter(row["Sr No."] for row in rows).most_common(1)[0][1] == 2


def test_older_copies_are_encoded_twice(tmp_path: Path, corpus: Path) -> None:
    generate("meld", tmp_path / "old", 400, media="tiny", encoded_twice=True, progress=False)
    new, old = (" ".join(row["Utterance"] for row in table(root, "train")) for root in (corpus, tmp_path / "old"))
    assert "’" in new and not re.search("[\x80-\x9f]", new)
    assert old != new and "\x92" in old and old.encode("latin-1").decode("cp1252") == new


def test_the_truncated_clip_cannot_be_read(tmp_path: Path) -> None:
    row = next(r for r in plan(60, 0, True, False, True) if r.planned.quirk == "unreadable")
    path = clip(tmp_path, row)
    assert path.stat().st_size > 1000
    with pytest.raises(av.error.FFmpegError):
        av.open(str(path))


def test_clips_are_h264_with_speech_in_the_centre_of_5_1(tmp_path: Path) -> None:
    row = next(r for r in plan(60, 0, True, False, True) if not r.planned.quirk and not r.stereo)
    path = clip(tmp_path, row)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 1280, 720)
        assert (audio.codec_context.name, audio.rate, audio.layout.name) == ("aac", 48_000, "5.1")
        assert abs(video.frames / 23.976 - row.planned.duration) < 0.06
    power = (sound(path) ** 2).mean(axis=1)
    assert power[2] > 10 * np.delete(power, 2).max()


def test_season_8_is_in_stereo(tmp_path: Path) -> None:
    row = next(r for r in plan(240, 0, True, False, True) if not r.planned.quirk and r.stereo)
    path = clip(tmp_path, row)
    assert sound(path).shape[0] == 2


def test_the_shortest_clip_has_64_ms_of_sound_and_a_picture(tmp_path: Path) -> None:
    row = next(r for r in plan(240, 0, True, False, True) if r.planned.quirk == "short")
    path = clip(tmp_path, row)
    with av.open(str(path)) as container:
        assert 1 <= sum(1 for _ in container.decode(video=0)) <= 2
    assert 0.064 * 48_000 <= sound(path).shape[1] <= 0.064 * 48_000 + 2048


def test_the_short_layout_has_a_folder_per_split(tmp_path: Path) -> None:
    generate("meld", tmp_path / "MELD", 40, layout="short", media="tiny", progress=False)
    names = {p.name for p in (tmp_path / "MELD").iterdir() if not p.name.startswith("._")}
    assert names == {"train", "dev", "test", "train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv"}
    assert list((tmp_path / "MELD/train").glob("dia*_utt*.mp4"))


def test_the_twins_are_those_of_annotated_rows_and_not_the_same_clip(corpus: Path) -> None:
    folder = corpus / meld.OFFICIAL["test"]
    rows = {f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}" for row in table(corpus, "test")}
    twins = [path.stem.removeprefix("final_videos_test") for path in folder.glob("final_videos_test*.mp4")]
    assert len(twins) == 4 and set(twins) <= rows


def test_clips_that_are_cut_wrongly_are_longer_than_their_annotation(tmp_path: Path) -> None:
    rows = plan(400, 0, True, False, True)
    meld.write_annotations(tmp_path, False, rows, quirks=True, encoded_twice=False)
    wrong = {(r.split, str(r.dialogue), str(r.utterance)): r for r in rows if r.planned.quirk == "long"}
    assert len(wrong) == 3
    for (split, dialogue, utterance), row in wrong.items():
        line = next(
            line
            for line in table(tmp_path, split)
            if (line["Dialogue_ID"], line["Utterance_ID"]) == (dialogue, utterance)
        )
        assert seconds_of(line) == pytest.approx(3.0) and row.planned.duration > 20


def test_sound_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    generate("meld", tmp_path / "MELD", 40, layout="separate", media="tiny", progress=False)
    videos = sorted((tmp_path / "MELD/train/video").glob("*.mp4"))
    sounds = sorted((tmp_path / "MELD/train/audio").glob("*.wav"))
    assert [path.stem for path in videos] == [path.stem for path in sounds] and len(videos) == len(
        table(tmp_path / "MELD", "train", short=True)
    )
    with av.open(str(videos[0])) as container:
        assert container.streams.video and not container.streams.audio
    with pytest.raises(UserError, match="layout: iemocap has sound and pictures in folders of their own"):
        generate("iemocap", tmp_path / "IEMOCAP", 40, layout="separate", media="tiny", progress=False)
