"""One utterance from media as odd as users have: what is stored is sound, or the reason is one line."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from dual_hpc.data.decoding import stretch
from dual_hpc.data.decoding.container import UnreadableMedia
from dual_hpc.data.format.sample import AUDIO, VIDEO, Utterance
from shards.build import build_sample
from shards.options import PackOptions
from shards.plan import Planned, Source
from shards.report import observed
from shards.writer import Sample
from tests.media.clips import Clip, write

SMALL = PackOptions(video_size=24)
FIELDS = {"corpus": "mine", "dialogue": "d", "utterance": 0, "speaker": "s"}


def write_pictures(path: Path, millis: Sequence[int], size: tuple[int, int] = (64, 48), codec: str = "libx264") -> None:
    """Grey pictures at their own times; number k is as bright as 8 k."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height = size
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for k, at in enumerate(millis):
            picture = np.full((size[1], size[0], 3), 8 * k % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def build(
    video: Path | None = None,
    audio: Path | None = None,
    start: float | None = None,
    end: float | None = None,
    options: PackOptions = SMALL,
) -> Sample:
    sources = [None if path is None else Source(path, start, end) for path in (audio, video)]
    return build_sample(Planned("k", FIELDS, *sources, None), Path("/"), options)


def pictures(sample: Sample) -> list[float]:
    """Brightness of each stored picture."""
    with av.open(io.BytesIO(sample.members[VIDEO]), "r", format="mp4") as container:
        return [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]


@pytest.mark.parametrize("size", [(1, 1), (37, 23), (2, 300), (1000, 2)])
def test_pictures_of_any_size_are_stored_with_even_sides(tmp_path: Path, size: tuple[int, int]) -> None:
    write_pictures(tmp_path / "a.mkv", [0, 33, 67], size, "ffv1")
    sample = build(tmp_path / "a.mkv")
    with av.open(io.BytesIO(sample.members[VIDEO]), "r", format="mp4") as container:
        stored = container.streams.video[0]
        assert stored.width % 2 == stored.height % 2 == 0 and min(stored.width, stored.height) <= 24
        assert stored.frames == 3


@pytest.mark.parametrize(("end", "lacks"), [(1.2, None), (4.0, "3"), (1e308, "1e+308")])
def test_media_that_end_before_their_stretch_say_so(media: Path, end: float, lacks: str | None) -> None:
    sample = build(audio=media / "tone.wav", start=0.5, end=end)
    assert sample.meta.duration == 0.5 and sample.meta.options.get("ends_early") == lacks


def test_uneven_times_become_a_constant_rate_with_gaps_filled(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a.mkv", [0, 10, 900, 950, 2000])
    sample = build(tmp_path / "a.mkv")
    assert sample.meta.fps is not None and sample.meta.duration == pytest.approx(2.0, abs=0.1)
    assert len(pictures(sample)) == pytest.approx(sample.meta.duration * sample.meta.fps, abs=1)


@pytest.mark.parametrize("first", [-500, 3000, 90_000])
def test_time_stamps_may_begin_anywhere(tmp_path: Path, first: int) -> None:
    write_pictures(tmp_path / "a.mkv", [first + 33 * k for k in range(30)])
    sample = build(tmp_path / "a.mkv", start=0.5, end=0.8)
    assert sample.meta.duration == pytest.approx(0.3, abs=0.04)
    assert pictures(sample)[0] == pytest.approx(8 * 15, abs=12)


def test_a_gap_of_a_day_does_not_fill_the_disk(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a.mkv", [33 * k if k < 15 else 86_000_000 + 33 * k for k in range(30)])
    assert build(tmp_path / "a.mkv").meta.duration <= SMALL.max_seconds


@pytest.mark.parametrize("rate", [Fraction(1, 300), Fraction(1000), Fraction(24_000, 1001)])
def test_any_rate_is_stored_at_one_that_players_know(tmp_path: Path, rate: Fraction) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    sample = build(tmp_path / "a.mp4")
    assert sample.meta.fps is not None and 1 <= sample.meta.fps <= 30 and len(pictures(sample)) >= 1


@pytest.mark.parametrize(("rate", "channels", "count"), [(192_000, 1, 19_200), (48_000, 8, 4800), (4000, 1, 400)])
def test_sound_of_any_rate_and_channels_becomes_mono_16_khz(
    tmp_path: Path, rate: int, channels: int, count: int
) -> None:
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, (count, channels))
    soundfile.write(tmp_path / "a.wav", wave, rate)
    stored, stored_rate = soundfile.read(io.BytesIO(build(audio=tmp_path / "a.wav").members[AUDIO]))
    assert stored_rate == 16_000 and stored.ndim == 1 and stored.size == pytest.approx(1600, abs=40)


@pytest.mark.parametrize(("choice", "heard"), [("center", 440), ("downmix", 880)])
def test_the_choice_of_channels_is_obeyed_and_recorded(tmp_path: Path, choice: str, heard: int) -> None:
    seconds = np.arange(16_000) / 16_000
    loud, speech = 0.8 * np.sin(2 * np.pi * 880 * seconds), 0.2 * np.sin(2 * np.pi * 440 * seconds)
    around = [loud, loud, speech, np.zeros(16_000), loud, loud]  # front left and right, centre, low, back
    soundfile.write(tmp_path / "a.flac", np.stack(around, axis=1), 16_000)
    sample = build(audio=tmp_path / "a.flac", options=replace(SMALL, audio=choice))
    stored, _ = soundfile.read(io.BytesIO(sample.members[AUDIO]))
    assert np.argmax(np.abs(np.fft.rfft(stored))) == heard
    assert sample.meta.options["audio"] == choice and sample.meta.options["audio_layout"].startswith("FL+FR+FC+LFE")


@pytest.mark.parametrize(("channels", "is_told"), [(1, False), (2, True), (6, False)])
def test_a_centre_channel_that_is_not_there_is_told(tmp_path: Path, channels: int, is_told: bool) -> None:
    soundfile.write(tmp_path / "a.flac", np.full((1600, channels), 0.1), 16_000)
    meta = build(audio=tmp_path / "a.flac", options=replace(SMALL, audio="center")).meta
    assert ("no_center" in meta.options) == is_told
    assert "no_center" not in build(audio=tmp_path / "a.flac").meta.options


def test_a_single_sample_is_sound_and_one_that_resampling_loses_is_a_reason(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.1]), 16_000)
    assert soundfile.info(io.BytesIO(build(audio=tmp_path / "a.wav").members[AUDIO])).frames == 1
    soundfile.write(tmp_path / "b.wav", np.array([0.1]), 44_100)
    with pytest.raises(UnreadableMedia, match="no audio"):
        build(audio=tmp_path / "b.wav")


def test_what_is_no_number_is_silence(tmp_path: Path) -> None:
    wave = np.tile([np.nan, np.inf, -np.inf, 1e300], 1000)
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="DOUBLE")
    stored, _ = soundfile.read(io.BytesIO(build(audio=tmp_path / "a.wav").members[AUDIO]))
    assert np.isfinite(stored).all() and stored.size == 4000


def test_a_stretch_that_ends_behind_the_file_is_what_there_is_and_not_called_cut(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(48_000), 16_000)
    sample = build(audio=tmp_path / "a.wav", start=2.0, end=500.0)
    assert sample.meta.duration == 1.0 and "cut_from" not in sample.meta.options
    for start, end in [(3.5, 4.0), (1.0, 1.0000001), (1e300, 2e300)]:
        with pytest.raises(UnreadableMedia) as error:
            build(audio=tmp_path / "a.wav", start=start, end=end)
        assert "\n" not in str(error.value)


def test_a_rotated_video_is_stored_upright(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        picture = np.zeros((48, 96, 3), np.uint8)
        picture[:, :48] = 255  # the left half, which a quarter turn puts above or below
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = (tmp_path / "a.mp4").read_bytes()
    upright = (1 << 16).to_bytes(4, "big") + bytes(12) + (1 << 16).to_bytes(4, "big") + bytes(12)
    turned = (
        bytes(4) + (1 << 16).to_bytes(4, "big") + bytes(4) + (-(1 << 16)).to_bytes(4, "big", signed=True) + bytes(16)
    )
    at = data.index(upright, data.index(b"tkhd"))
    (tmp_path / "b.mp4").write_bytes(data[:at] + turned + data[at + 32 :])
    sample = build(tmp_path / "b.mp4")
    with av.open(io.BytesIO(sample.members[VIDEO]), "r", format="mp4") as container:
        (frame, *_) = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    assert frame.shape == (48, 24)
    assert abs(float(frame[:20].mean()) - float(frame[-20:].mean())) > 200
    assert float(frame[:, :10].mean()) == pytest.approx(float(frame[:, -10:].mean()), abs=10)


def test_a_cut_off_dialogue_loses_only_the_utterances_behind_the_cut(
    tmp_path: Path, put: Callable[[str, Path], Path]
) -> None:
    path = put("halves.avi", tmp_path / "a.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert build(path, start=0.5, end=2.0).meta.duration == pytest.approx(1.5, abs=0.05)
    with pytest.raises(UnreadableMedia, match=r"no picture between|truncated"):
        build(path, start=6.0, end=7.0)


def test_pictures_that_the_decoder_patched_up_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=30, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(60):
            noise = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode())
    assert "concealed" not in build(tmp_path / "a.avi").meta.options
    data = bytearray((tmp_path / "a.avi").read_bytes())
    inside = data.index(b"00dc", len(data) // 2) + 200  # of a picture, behind its header
    data[inside : inside + 60] = bytes(60)
    (tmp_path / "a.avi").write_bytes(data)
    sample = build(tmp_path / "a.avi")
    assert int(sample.meta.options["concealed"]) >= 1 and len(pictures(sample)) == 60


def test_no_more_is_decoded_than_from_the_key_frame_on(
    tmp_path: Path, put: Callable[[str, Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put("halves.avi", tmp_path / "a.avi")  # a key frame every 12 pictures, 30 a second
    decoded = 0
    timed = stretch._timed

    def counting(*args: object) -> object:
        nonlocal decoded
        for pair in timed(*args):  # type: ignore[arg-type]
            decoded += 1
            yield pair

    monkeypatch.setattr(stretch, "_timed", counting)
    assert len(pictures(build(path, start=5.0, end=6.0))) == 30
    assert decoded <= 30 + 12 + 1


def test_samples_beyond_full_scale_are_clipped_counted_and_reported(tmp_path: Path) -> None:
    wave = np.full(16_000, 0.5, np.float32)
    wave[1000:1100] = 1.5
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    sample = build(audio=tmp_path / "a.wav")
    stored, _ = soundfile.read(io.BytesIO(sample.members[AUDIO]))
    assert sample.meta.clipped == 100 and stored.max() == pytest.approx(1.0, abs=1e-4)
    soundfile.write(tmp_path / "b.wav", wave / 2, 16_000)
    assert build(audio=tmp_path / "b.wav").meta.clipped == 0
    assert any("1 samples have audio beyond full scale: 100 audio samples" in note for note in observed([sample.meta]))


def test_a_loud_stereo_source_is_not_clipped(tmp_path: Path) -> None:
    wave = 0.9 * np.sin(np.arange(16_000) / 9)
    soundfile.write(tmp_path / "a.wav", np.stack([wave, wave], axis=1), 16_000)
    soundfile.write(tmp_path / "b.wav", wave, 16_000)
    sample = build(audio=tmp_path / "a.wav")
    assert sample.meta.clipped == 0 and sample.members[AUDIO] == build(audio=tmp_path / "b.wav").members[AUDIO]


def test_gaps_in_time_stamps_are_silent_and_recorded(tmp_path: Path) -> None:
    written = write(Clip("mp4", "libx264", "aac", audio_gap=True), tmp_path)
    assert written is not None
    sample = build(audio=written.path)
    assert float(sample.meta.options["audio_silence"]) == pytest.approx(0.7, abs=0.05)
    assert any("gaps in their audio" in note for note in observed([sample.meta]))


def test_metadata_of_older_shards_do_not_say_what_was_clipped() -> None:
    meta = Utterance(key="k", corpus="c", dialogue="d", utterance=0, speaker="s", duration=1.0)
    assert meta.clipped is None and "clipped" not in meta.model_dump(exclude_none=True)


def test_less_than_a_header_promises_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(100):
            picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    assert "header_seconds" not in build(tmp_path / "a.mkv").meta.options
    (tmp_path / "a.mkv").write_bytes((tmp_path / "a.mkv").read_bytes()[: (tmp_path / "a.mkv").stat().st_size // 2])
    meta = build(tmp_path / "a.mkv").meta
    assert meta.duration < 3.0 and float(meta.options["header_seconds"]) == pytest.approx(4.0, abs=0.1)
    assert any("whose header says more than a second more" in note for note in observed([meta]))


def write_gif(path: Path, millis: Sequence[int]) -> Path:
    """Grey pictures that are shown for these times; number k is as bright as 60 k."""
    first, *rest = [Image.fromarray(np.full((48, 64, 3), 60 * k, np.uint8)) for k in range(len(millis))]
    first.save(path, save_all=True, append_images=rest, duration=list(millis))
    return path


@pytest.mark.parametrize("millis", [[2000], [500, 5000], [100, 100, 100], [3000, 40]])
def test_the_last_picture_counts_for_as_long_as_it_is_shown(tmp_path: Path, millis: list[int]) -> None:
    sample = build(write_gif(tmp_path / "a.gif", millis))
    assert sample.meta.duration == pytest.approx(sum(millis) / 1000, abs=0.2)
    assert (sample.meta.options.get("single_picture") == "true") == (len(millis) == 1)
    shown = np.repeat(np.arange(len(millis)), millis)[:: round(1000 / (sample.meta.fps or 1))]
    wrong = sum(abs(level - 60 * k) > 12 for level, k in zip(pictures(sample), shown, strict=False))
    assert wrong <= len(millis) - 1


def test_a_single_picture_of_unknown_length_is_called_that(tmp_path: Path) -> None:
    sample = build(write_gif(tmp_path / "a.gif", [0]))
    assert sample.meta.options["single_picture"] == "true" and sample.meta.duration < 0.2


def test_a_stretch_of_a_still_picture_is_that_picture(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "a.gif", [5000])
    assert build(path, start=3.0, end=4.0).meta.duration == pytest.approx(1.0, abs=0.11)
    with pytest.raises(UnreadableMedia, match="no picture between"):
        build(path, start=7.0, end=8.0)
