"""Raw media: what is read, from where, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import UnreadableMedia, probe
from dual_hpc.data.decoding.media import iter_frames, read_audio
from dual_hpc.errors import UserError

RATE = 48_000


def tone(hz: float, seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_clip(
    path: Path,
    frames: int = 0,
    audio: NDArray[np.float32] | None = None,
    layout: str = "mono",
    video_codec: str = "libx264",
    audio_codec: str = "aac",
    options: dict[str, str] | None = None,
    fps: int = 30,
    rate: int = RATE,
) -> Path:
    """A clip in which picture i carries i in binary, as eight black or white columns."""
    with av.open(str(path), "w") as container:
        video = sound = None
        if frames:
            video = container.add_stream(video_codec, rate=fps, options=options or {"g": "15"})
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if audio is not None:
            sound = container.add_stream(audio_codec, rate=rate, layout=layout)
        for i in range(frames):
            columns = np.repeat([255 * (i >> bit & 1) for bit in range(8)], 8).astype(np.uint8)
            picture = np.broadcast_to(columns[None, :, None], (48, 64, 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode())
        if sound is not None:
            samples = np.atleast_2d(audio)
            for at in range(0, samples.shape[1], 1024):
                block = np.ascontiguousarray(samples[:, at : at + 1024])
                if audio_codec != "aac":
                    packed = (block.T.reshape(1, -1) * 32767).astype(np.int16)
                    frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
                else:
                    frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.rate, frame.pts = rate, at
                container.mux(sound.encode(frame))
            container.mux(sound.encode())
    return path


def number(picture: NDArray[np.uint8]) -> int:
    return sum(1 << bit for bit in range(8) if picture[:, 8 * bit + 2 : 8 * bit + 6].mean() > 128)


def loudest_hz(wave: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(wave.size)))
    return float(spectrum.argmax() * 16_000 / wave.size)


def test_probe_tells_both_streams(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "a.mp4", 60, tone(440, 2), "mono"))
    assert info.video is not None and (info.video.width, info.video.height, info.video.fps) == (64, 48, 30)
    assert info.audio is not None and (info.audio.rate, info.audio.channels) == (RATE, ("FC",))
    assert info.duration == pytest.approx(2.0, abs=0.06)


def test_audio_is_mono_sixteen_kilohertz_with_its_pitch_kept(tmp_path: Path) -> None:
    wave = read_audio(write_clip(tmp_path / "a.mp4", 0, tone(440, 2)))
    assert wave.dtype == np.float32 and wave.ndim == 1
    assert wave.size == pytest.approx(32_000, abs=1100)
    assert loudest_hz(wave) == pytest.approx(440, abs=2)


def test_a_stretch_of_wav_is_exact_to_the_sample(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000 * 5).astype(np.float32)
    path = write_clip(tmp_path / "a.wav", 0, samples, audio_codec="pcm_s16le", rate=16_000)
    part = read_audio(path, 2.5, 3.25)
    expected = (samples[40_000:52_000] * 32767).astype(np.int16) / 32768
    np.testing.assert_allclose(part, expected, atol=1e-6)


@pytest.mark.parametrize("layout", ["5.1", "5.1(side)"])
def test_center_takes_the_front_centre_channel_and_downmix_hears_all(tmp_path: Path, layout: str) -> None:
    channels = np.stack([tone(hz, 1) for hz in (300, 500, 1000, 60, 700, 900)])
    path = write_clip(tmp_path / "a.mp4", 0, channels, layout)
    assert loudest_hz(read_audio(path, channels="center")) == pytest.approx(1000, abs=2)
    mixed = np.abs(np.fft.rfft(read_audio(path, channels="downmix")))
    heard = {hz for hz in (300, 500, 1000) if mixed[round(hz * mixed.size / 8000)] > 0.05 * mixed.max()}
    assert heard == {300, 500, 1000}


def test_center_of_a_stereo_source_is_its_mix(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 0, np.stack([tone(440, 1), tone(440, 1)]), "stereo")
    np.testing.assert_array_equal(read_audio(path, channels="center"), read_audio(path, channels="downmix"))


def test_a_numbered_channel_is_that_channel(tmp_path: Path) -> None:
    pair = np.stack([tone(300, 1, 16_000), tone(800, 1, 16_000)])
    path = write_clip(tmp_path / "a.wav", 0, pair, "stereo", audio_codec="pcm_s16le", rate=16_000)
    assert loudest_hz(read_audio(path, channels=1)) == pytest.approx(800, abs=2)
    with pytest.raises(UnreadableMedia, match="has 2 audio channels, channel 2 was asked for"):
        read_audio(path, channels=2)
    with pytest.raises(UserError, match="downmix, center"):
        read_audio(path, channels="left")


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"g": "40", "bf": "2"}),
        ("a.avi", "mpeg4", {"g": "40", "bf": "0"}),
        ("a.avi", "mpeg4", {"g": "40", "bf": "2"}),
        ("a.mkv", "libx264", {"g": "1000", "bf": "3"}),
    ],
)
@pytest.mark.parametrize("start", [0.0, 0.4, 2.5, 3.9])
def test_every_picture_comes_at_its_own_time_wherever_reading_starts(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], start: float
) -> None:
    path = write_clip(tmp_path / name, 120, video_codec=codec, options=options)
    end = min(start + 0.5, 4.0)
    got = [(round(seconds * 30), number(picture)) for seconds, picture in iter_frames(path, start, end)]
    assert got == [(i, i) for i in range(round(start * 30), round(end * 30))]


def test_a_stretch_past_the_end_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 60, tone(440, 2))
    with pytest.raises(UnreadableMedia, match=r"no picture between 9\.000 s"):
        list(iter_frames(path, 9.0, 10.0))
    with pytest.raises(UnreadableMedia, match=r"no audio"):
        read_audio(path, 9.0, 10.0)


def test_the_shortest_clips_are_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 1, tone(440, 0.064))
    assert len(list(iter_frames(path))) == 1
    assert 900 <= read_audio(path).size <= 2100


def test_a_missing_stream_is_named(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "v.mp4", 10)
    blind = write_clip(tmp_path / "a.wav", 0, tone(440, 1), audio_codec="pcm_s16le")
    assert probe(silent).audio is None and probe(blind).video is None
    with pytest.raises(UnreadableMedia, match=r"v\.mp4: has no audio stream"):
        read_audio(silent)
    with pytest.raises(UnreadableMedia, match=r"a\.wav: has no video stream"):
        list(iter_frames(blind))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello world\n" * 50,
        b"\0" * 4096,
        b"#EXTM3U\n#EXTINF:1,\nother.wav\n",
        b"ffconcat version 1.0\nfile other.wav\n",
    ],
)
@pytest.mark.parametrize("name", ["x.mp4", "x.txt", "x.m3u8"])
def test_what_is_no_media_is_one_line_with_the_files_name(tmp_path: Path, content: bytes, name: str) -> None:
    write_clip(tmp_path / "other.wav", 0, tone(440, 1), audio_codec="pcm_s16le")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia) as caught:
        probe(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="no such file"):
        probe(tmp_path / "absent.mp4")
    with pytest.raises(UnreadableMedia, match="is a folder"):
        probe(tmp_path)


@pytest.mark.parametrize("name", ["a:b.wav", "-i.wav", "http:x.wav", "ünï 'quote\".wav", "a%03d.wav"])
def test_odd_names_are_only_names(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / "plain.wav", 0, tone(440, 0.5, 16_000), audio_codec="pcm_s16le", rate=16_000)
    odd = path.rename(tmp_path / name)
    assert read_audio(odd).size == 8000


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    mp4 = write_clip(tmp_path / "a.mp4", 120, tone(440, 4))
    mp4.write_bytes(mp4.read_bytes()[: mp4.stat().st_size // 2])
    with pytest.raises(UnreadableMedia):
        probe(mp4)
    wav = write_clip(tmp_path / "a.wav", 0, tone(440, 4), audio_codec="pcm_s16le")
    wav.write_bytes(wav.read_bytes()[: wav.stat().st_size // 2])
    with pytest.raises(UnreadableMedia, match="truncated"):
        read_audio(wav)
    avi = write_clip(tmp_path / "a.avi", 200, video_codec="mpeg4")
    avi.write_bytes(avi.read_bytes()[: avi.stat().st_size // 2])
    with pytest.raises(UnreadableMedia, match="truncated"):
        list(iter_frames(avi))


def test_an_mp4_that_lost_its_end_is_not_taken_for_one_whose_last_picture_is_long(tmp_path: Path) -> None:
    path, rng = tmp_path / "a.mp4", np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("mpeg4", rate=25, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(150):
            picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    assert len(list(iter_frames(path))) == 150
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableMedia, match=r"is truncated, its video ends at 2\.\d+ s of 6\.00 s"):
        list(iter_frames(path))


def test_flipped_bits_never_raise_anything_but_unreadable_media(tmp_path: Path) -> None:
    rng = random.Random(1)
    whole = write_clip(tmp_path / "a.mp4", 20, tone(440, 0.7)).read_bytes()
    for trial in range(40):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 40)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path = tmp_path / f"{trial}.mp4"
        path.write_bytes(data)
        for read in (probe, read_audio, lambda p: list(iter_frames(p))):
            try:
                read(path)
            except UnreadableMedia as error:
                assert "\n" not in str(error)


def test_pictures_can_be_scaled_while_they_are_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 40)
    whole = list(iter_frames(path))
    small = list(iter_frames(path, size=(32, 24)))
    assert [seconds for seconds, _ in small] == [seconds for seconds, _ in whole]
    for (_, a), (_, b) in zip(whole, small, strict=True):
        assert b.shape == (24, 32, 3)
        assert abs(float(a.mean()) - float(b.mean())) < 3
