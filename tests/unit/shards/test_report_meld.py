"""Every sentence about a packed MELD with each kind of fault: its numbers are those counted while it was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from dual_hpc.data.format.index import read_index
from shards.options import PackOptions
from shards.packing import pack
from tests.unit.shards.conftest import MELD_HEADER, write_video
from tests.unit.shards.told import hold, report_of, sentences, table

LIMIT = 3.0  # --max-seconds


def stamp(seconds: float) -> str:
    return f"0:00:{int(seconds):02d},{round(seconds % 1 * 1000):03d}"


class Table:
    """A split's rows, whose clips the annotation gives 0.8 s unless said otherwise."""

    def __init__(self, root: Path, split: str) -> None:
        self.path, self.lines = root / f"{split}_sent_emo.csv", [MELD_HEADER]

    def add(self, utterance: int | str, emotion: str = "joy", seconds: float = 0.8, end: str | None = None) -> None:
        times = f'"{stamp(1)}","{stamp(1 + seconds) if end is None else end}"'
        self.lines.append(f"1,Hi\x92,Ross,{emotion},positive,0,{utterance},1,1,{times}")

    def write(self) -> None:
        self.path.write_text("\r\n".join(self.lines) + "\r\n", newline="")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, put: Callable[[str, Path], Path]) -> Path:
    folder = tmp_path_factory.mktemp("meld")
    root = folder / "MELD.Raw"
    train, test = root / "train", root / "test"
    write_video(folder / "silent.mp4", 0.8, (64, 48), "libx264")
    write_video(folder / "wrong_cut.mp4", 5.0, (64, 48), "libx264", "stereo")
    write_video(folder / "two_seconds.mp4", 2.0, (64, 48), "libx264", "stereo")

    def copy(name: str, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / f"{name}.mp4").read_bytes())
        return target

    rows = Table(root, "train")  # sound and pictures in folders of their own
    for utterance in range(3):
        rows.add(utterance)
        put("tone.wav", train / f"audio/dia0_utt{utterance}.wav")
        copy("silent", train / f"video/dia0_utt{utterance}.mp4")
    rows.add(3)  # whose sound is in the clip
    put("clip.mp4", train / "video/dia0_utt3.mp4")
    rows.add(4)  # without sound
    copy("silent", train / "video/dia0_utt4.mp4")
    rows.add(5)  # without pictures
    put("tone.wav", train / "audio/dia0_utt5.wav")
    rows.add(6)  # cannot be read
    copy("silent", train / "video/dia0_utt6.mp4").write_bytes(b"\0" * 99)
    rows.add(7)  # absent
    rows.add(0, "anger")  # again
    rows.add(8, "happy")
    put("clip.mp4", train / "video/dia0_utt8.mp4")
    rows.add("x")
    rows.lines.append("1,Hi,Ross")
    rows.write()
    put("clip.mp4", train / "video/dia9_utt9.mp4")
    rows = Table(root, "test")
    rows.add(0)  # cut, and wrong
    copy("wrong_cut", test / "dia0_utt0.mp4")
    rows.add(1)  # wrong
    copy("two_seconds", test / "dia0_utt1.mp4")
    rows.add(2, seconds=1.7)  # 0.3 s longer
    copy("two_seconds", test / "dia0_utt2.mp4")
    rows.add(3, seconds=0.064)
    put("short.mp4", test / "dia0_utt3.mp4")
    rows.add(4, end="0:00:00,500")
    put("clip.mp4", test / "dia0_utt4.mp4")
    put("clip.mp4", test / "final_videos_testdia0_utt0.mp4")  # the right one
    put("clip.mp4", test / "final_videos_testdia3_utt0.mp4")  # of no row
    rows.write()
    out = folder / "shards"
    assert pack("meld", root, out, PackOptions(video_size=24, max_seconds=LIMIT)) is not None
    return out


PACKED = 6 + 5
LEFT_OUT = 1 + 1 + 1 + 1 + 1  # unreadable, absent, not an emotion, no number, too few columns


def test_every_sentence_of_the_report_counts_what_is_there(packed: Path) -> None:
    text = report_of(packed)
    assert text.splitlines()[0] == f"# meld: {PACKED} of {PACKED + LEFT_OUT} utterances packed"
    truth: dict[str, object] = {
        r"(\d+) samples without audio": 1,
        r"(\d+) samples without video": 1,
        r"the (\w+) split is absent": "dev",
        r"(\d+) clips of train have no annotation and are ignored": 1,
        r"the sound of (\d+) utterances of train is read from train/audio/\*\.wav, not from their video files": 3,
        r"(\d+) utterances of train have no sound file there; their video file is asked for it": 3,  # 3, 4 and 6
        r"(\d+) clips of test have no annotation under their own name: (\d+) named final_videos_test\.\.\. are twins "
        r"of annotated rows, (\d+) others are ignored\. Which twin is right is disputed; of (\d+) rows that have both, "
        r"the plain one is packed \(--test-twins final packs the twin\)\. By StartTime and EndTime the twin's length "
        r"is nearer in (\d+) rows, the plain one's in (\d+), and both are alike \(within 0\.1 s\) in (\d+)": (
            *(2, 1, 1, 1),
            *(1, 0, 0),
        ),
        r"(\d+) utterances of test have no StartTime and EndTime that can be read, or not in this order: .*": 1,
        r"train_sent_emo\.csv has (\d+) lines with cp1252 characters that were encoded twice; they were corrected "
        r"\(and so with (\d+) more files\)": None,
        r"train_sent_emo\.csv has (\d+) lines with cp1252 characters that were encoded twice; they were corrected": 11,
        r"test_sent_emo\.csv has (\d+) lines with cp1252 characters that were encoded twice; they were corrected": 5,
        r"(\d+) samples are longer than --max-seconds and were cut": 1,
        r"(\d+) samples are shorter than 0\.2 s": 1,
        r"(\d+) samples have media whose length differs from the annotation's by more than a second": 2,
        r"(\d+) utterances are left out": LEFT_OUT,
        r"(\d+) other entries are no utterance, or one that is packed or counted already": 1,
        r"(\d+): cannot be read as audio or video \(.*\)": 1,
        r"(\d+): the clip is absent": 1,
        r"(\d+): dia0_utt0 occurs twice in train; the first is taken": 1,
        r"(\d+): emotion \.\.\. is not an emotion of MELD": 1,
        r"(\d+): Dialogue_ID \.\.\. are not numbers": 1,
        r"(\d+): has 3 columns, the header has 11": 1,
    }
    hold(sentences(text), truth)


def test_cut_short_and_wrongly_cut_clips_are_named_one_by_one(packed: Path) -> None:
    named = table(report_of(packed), "Packed samples to look at")
    assert named.pop("train_dia0_utt4") == "has no audio" and named.pop("train_dia0_utt5") == "has no video"
    assert named.pop("test_dia0_utt3").startswith("lasts 0.0") and set(named) == {"test_dia0_utt0", "test_dia0_utt1"}
    cut, wrong = named["test_dia0_utt0"], named["test_dia0_utt1"]
    assert cut.startswith("lasts 5.0") and "cut at --max-seconds (3.0 s); its file lasts 5.0" in cut
    assert cut.endswith("its annotation says 0.800 s")
    assert wrong.startswith("its file lasts 2.0") and wrong.endswith("its annotation says 0.800 s")


def test_the_table_counts_each_split_and_emotion(packed: Path) -> None:
    lines = report_of(packed).splitlines()
    assert "| train joy | 6 | **1743** |" in lines and "| test joy | 5 | **402** |" in lines
    assert "| dev anger | 0 | **153** |" in lines


def test_the_sound_is_that_of_the_file_that_is_named(packed: Path) -> None:
    for shard in read_index(packed).shards:
        for sample in shard.samples:
            if "/audio/" in sample.meta.sources.get("audio", ""):
                offset, size = sample.members["flac"]
                (packed / "member.flac").write_bytes((packed / shard.name).read_bytes()[offset : offset + size])
                assert soundfile.info(packed / "member.flac").frames == 16_000  # tone.wav lasts a second
