"""Clocks that start again, pictures that are stamped in decoding order: each is seen and heard when it was."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from dual_hpc.data.decoding.container import Findings, UnreadableMedia
from dual_hpc.data.decoding.media import iter_frames, read_audio
from dual_hpc.data.decoding.timestamps import ContinuousClock
from tests.media.clips import Clip, number_of, write
from tests.media.torture import beep, faults
from tests.unit.data.decoding.test_media import number, tone, write_clip

# Two of each kind that once went wrong, and one that never did; `make torture` takes all.
SHORT = [
    Clip("mp4", "libx264+b", "aac", audio_gap=True),
    Clip("mp4", "libx264+b", "aac", layout="5.1", center=True, audio_offset=12.0),
    Clip("matroska", "mpeg4+b", "libopus", layout="stereo", audio_offset=0.26, audio_gap=True, video_gap=True),
    Clip("webm", "libvpx", "libopus", video_offset=0.52),
    Clip("mpegts", "libx264+b", "ac3", layout="5.1", audio_gap=True),
    Clip("mpeg", "mpeg2video+b", "mp2", audio_gap=True),
    Clip("flv", "libx264+b", "aac", audio_gap=True),
    Clip("asf", "wmv2", "wmav2", audio_offset=12.0),
    Clip("avi", "libx264+b", "pcm_s16le", video_gap=True),
    Clip("avi", "libx264", "pcm_s16le", video_gap=True),
    Clip("avi", "mpeg4+b", "ac3", layout="stereo"),
    Clip("avi", "mpeg2video+b", "libmp3lame"),
    Clip("mov", "prores_ks", "pcm_s24le", layout="7.1", center=True),
    Clip("h264", "libx264+b", None),
    Clip("ogg", None, "vorbis", layout="stereo"),
    Clip("wav", None, "adpcm_ms", layout="stereo"),
]


@pytest.mark.parametrize("clip", SHORT, ids=lambda clip: clip.name)
def test_beeps_are_heard_and_pictures_seen_when_they_were(tmp_path: Path, clip: Clip) -> None:
    written = write(clip, tmp_path)
    assert written is not None and faults(clip, written) == []


def test_the_torture_set_notices_a_picture_at_the_wrong_time(tmp_path: Path) -> None:
    clip = Clip("matroska", "ffv1", "flac")
    written = write(clip, tmp_path)
    assert written is not None
    for wrong in (
        Clip("matroska", "ffv1", "flac", video_offset=0.04),
        Clip("matroska", "ffv1", "flac", audio_gap=True),
    ):
        assert faults(wrong, written)


def test_a_clock_that_starts_again_goes_on_for_all_streams_alike() -> None:
    clock = ContinuousClock(forward=False)
    for seconds in (0.0, 1.0, 2.0):
        assert clock.shift(0, seconds, seconds, 1.0) == 0.0
        assert clock.shift(1, seconds, seconds, 1.0) == 0.0
    assert clock.shift(0, 0.0, 0.0, 1.0) == 3.0
    assert clock.shift(1, 2.5, 2.5, 0.5) == 0.0  # this stream comes to the new clock later
    assert clock.shift(1, 0.1, 0.1, 1.0) == 3.0
    assert clock.restarts == 1


def test_overlap_and_gaps_are_no_new_clock() -> None:
    clock = ContinuousClock(forward=False)
    assert [clock.shift(0, at, at, 0.1) for at in (0.0, 5.0, 4.5, 4000.0, 80_000.0)] == [0.0] * 5
    assert clock.restarts == 0


def joined(folder: Path, container: str, video: str | None, audio: str, suffix: str) -> tuple[Path, float]:
    """A file twice in a row, as `cat` makes it, and the seconds of one."""
    written = write(Clip(container, video, audio), folder)
    assert written is not None
    one = written.path.read_bytes()
    path = folder / f"twice.{suffix}"
    path.write_bytes(one + one)
    return path, read_audio(written.path).size / 16_000


@pytest.mark.parametrize(
    ("container", "video", "audio", "suffix"),
    [
        ("mpegts", "libx264+b", "ac3", "ts"),
        ("mpeg", "mpeg2video+b", "mp2", "mpg"),
        ("ogg", None, "libopus", "ogg"),
    ],
)
def test_joined_recordings_follow_each_other_and_it_is_told(
    tmp_path: Path, container: str, video: str | None, audio: str, suffix: str
) -> None:
    path, length = joined(tmp_path, container, video, audio, suffix)
    findings = Findings()
    wave = read_audio(path, findings=findings)
    assert findings.restarts == 1
    heard = [beep(wave, hz, at)[0] for at, hz in ((0.3, 600.0), (length + 0.3, 600.0), (length + 2.1, 1800.0))]
    assert None not in heard
    first, second, last = (at for at in heard if at is not None)
    assert second - first == pytest.approx(length, abs=0.06) and last - second == pytest.approx(1.8, abs=0.01)
    if video is not None:
        seen = [(seconds, number(np.repeat(shown, 2, axis=1)[:, :64])) for seconds, shown in iter_frames(path)]
        assert len(seen) == 120 and [s for s, _ in seen] == sorted(s for s, _ in seen)
        # Reading from the middle must not seek by a clock that is there twice.
        middle = read_audio(path, length + 0.1, length + 0.6)
        again = beep(middle, 600.0, 0.2)[0]
        assert again is not None and length + 0.1 + again == pytest.approx(second, abs=0.005)


@pytest.mark.parametrize("start", [0.4, 1.3, 2.45, 3.1])
@pytest.mark.parametrize(("codec", "b"), [("libx264", "3"), ("mpeg4", "2"), ("mpeg2video", "2")])
def test_pictures_of_avi_come_at_their_own_times_wherever_reading_starts(
    tmp_path: Path, codec: str, b: str, start: float
) -> None:
    options = {"g": "20", "bf": b, "b_strategy": "0"}
    path = write_clip(tmp_path / "a.avi", 120, video_codec=codec, options=options)
    got = [(round(seconds * 30), number(shown)) for seconds, shown in iter_frames(path, start, start + 0.5)]
    assert got == [(i, i) for i in range(int(start * 30 + 1e-6), int(start * 30 + 1e-6) + len(got))] and len(got) >= 15


def test_packets_in_decoding_order_in_another_container(tmp_path: Path) -> None:
    """As tools leave it that copy an AVI into mov: the stamps of packets ascend, the pictures are not in that order."""
    source = write_clip(tmp_path / "a.avi", 60, video_codec="mpeg4", options={"g": "15", "bf": "2"})
    path = tmp_path / "a.mov"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.pts = packet.dts
                packet.stream = stream
                new.mux(packet)
    assert [(round(seconds * 30), number(shown)) for seconds, shown in iter_frames(path)] == [(i, i) for i in range(60)]


def test_the_format_may_change_at_a_programmes_boundary(tmp_path: Path) -> None:
    parts = []
    for name, layout, size in (("a", "5.1", (64, 48)), ("b", "stereo", (128, 96))):
        channels = np.zeros((6 if layout == "5.1" else 2, 48_000), np.float32)
        channels[2 if layout == "5.1" else slice(None)] = tone(440, 1)
        path = tmp_path / f"{name}.ts"
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=25, options={"bf": "0"})
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            sound = container.add_stream("ac3", rate=48_000 if layout == "5.1" else 44_100, layout=layout)
            for _ in range(25):
                picture = np.zeros((size[1], size[0], 3), np.uint8)
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(video.encode())
            for at in range(0, 48_000, 1536):
                block = np.ascontiguousarray(channels[:, at : at + 1536])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.rate, frame.pts = sound.rate, at
                container.mux(sound.encode(frame))
            container.mux(sound.encode())
        parts.append(path.read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    findings = Findings()
    wave = read_audio(path, findings=findings)
    for first in (4000, 24_000):
        assert np.abs(wave[first : first + 4000]).max() == pytest.approx(0.5, abs=0.06)
    shapes = {shown.shape for _, shown in iter_frames(path, findings=findings)}
    assert shapes == {(48, 64, 3)} and findings.resized == 25 and findings.restarts == 1


@pytest.mark.parametrize("size", [0x7FFFF024, 0xFFFFFFFF, 2_000_000_036, 0x7FFFFFFF, 0x80000024, 0])
def test_a_wav_that_went_through_a_pipe_is_whole(tmp_path: Path, size: int) -> None:
    path = write_clip(tmp_path / "a.wav", 0, tone(440, 1, 16_000), audio_codec="pcm_s16le", rate=16_000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = size.to_bytes(4, "little")
    data[at : at + 4] = max(0, size - (36 if size != 0xFFFFFFFF else 0)).to_bytes(4, "little")
    path.write_bytes(data)
    assert read_audio(path).size == 16_000


def test_a_wav_that_lost_its_end_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav", 0, tone(440, 4, 16_000), audio_codec="pcm_s16le", rate=16_000)
    path.write_bytes(path.read_bytes()[:60_000])
    with pytest.raises(UnreadableMedia, match="truncated"):
        read_audio(path)


def test_a_sphere_file_of_the_ldc_is_read(tmp_path: Path) -> None:
    wave = (tone(440, 1, 16_000) * 32767).astype("<i2")
    lines = ["NIST_1A", "   1024", "channel_count -i 1", "sample_rate -i 16000", f"sample_count -i {wave.size}"]
    lines += ["sample_n_bytes -i 2", "sample_byte_format -s2 01", "sample_sig_bits -i 16", "sample_coding -s3 pcm"]
    head = "\n".join([*lines, "end_head", ""]).encode().ljust(1024)
    (tmp_path / "SA1.WAV").write_bytes(head + wave.tobytes())
    np.testing.assert_allclose(read_audio(tmp_path / "SA1.WAV"), wave / 32768, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"version https://git-lfs.example/spec/v1\noid sha256:00\nsize 123\n",
            "is a Git LFS pointer of 63 bytes.*git lfs pull",
        ),
        (b"../../.git/annex/objects/aa/bb/MD5-s1--x/MD5-s1--x", "is a git-annex pointer"),
        (b"<!DOCTYPE html><html><body>log in", "is a web page"),
        (b"", "is empty"),
    ],
)
@pytest.mark.parametrize("name", ["1001_DFA_ANG_XX.wav", "a.mp4"])
def test_a_file_that_stands_in_for_another_is_called_what_it_is(
    tmp_path: Path, content: bytes, words: str, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableMedia, match=words):
        read_audio(tmp_path / name)


def move_flv_tags(data: bytearray, after: int, by: int) -> None:
    """Add `by` milliseconds to the stamps of an FLV file's tags from `after` on, as a broken connection does."""
    at = 13
    while at + 11 < len(data):
        stamp = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        if stamp >= after:
            stamp += by
            data[at + 4 : at + 7], data[at + 7] = (stamp & 0xFFFFFF).to_bytes(3, "big"), stamp >> 24
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")


@pytest.mark.parametrize(("by", "late"), [(-1200, 0.0), (5000, 5.0), (2_000_000_000, 0.0)])
def test_a_live_stream_that_reconnected_is_joined_and_a_pause_of_it_stays(tmp_path: Path, by: int, late: float) -> None:
    written = write(Clip("flv", "libx264+b", "aac"), tmp_path)
    assert written is not None
    data = bytearray(written.path.read_bytes())
    move_flv_tags(data, 1300, by)
    written.path.write_bytes(data)
    findings = Findings()
    wave = read_audio(written.path, 0.0, 40.0, findings=findings)
    before, after = beep(wave, 900.0, 0.9)[0], beep(wave, 1800.0, 2.1 + late)[0]
    assert before is not None and after is not None
    # What is missing between the two is not known: the streams are joined at the later end of both.
    assert after - before == pytest.approx(1.2 + late, abs=0.1) and findings.restarts == (late == 0.0)
    assert [number_of(shown) for _, shown in iter_frames(written.path, 0.0, 40.0)] == list(range(60))


def test_a_time_stamp_of_a_thousand_million_seconds_is_one_clear_refusal(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for block in range(20):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 3000, np.int16), format="s16", layout="mono")
            frame.rate, frame.pts = 16_000, block * 1600
            for packet in stream.encode(frame):
                packet.pts = packet.dts = (packet.pts or 0) + (16_000 * 10**9 if block > 9 else 0)
                container.mux(packet)
    for stretch in ((None, None), (0.0, 40.0)):
        with pytest.raises(UnreadableMedia, match=r"a\.mkv.*time stamps jump to 1e\+09 s"):
            read_audio(path, *stretch)
