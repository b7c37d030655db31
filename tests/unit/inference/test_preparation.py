"""A raw clip becomes what training would have seen of it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dual_hpc.data.decoding.container import UnreadableMedia, probe
from dual_hpc.data.decoding.decode import decode_video
from dual_hpc.data.decoding.grid import frame_times
from dual_hpc.inference.preparation import prepare
from dual_hpc.inference.preprocessing import Preprocessing
from dual_hpc.inference.requests import Clip
from dual_hpc.modality import Modality, parse_subset
from tests.media import clips as media
from tests.media.clips import write

SETTINGS = Preprocessing(image_size=32, video_hz=5.0, max_seconds=2.0, max_tokens=16)


def test_pictures_are_those_that_training_decodes(clips: Path) -> None:
    for name in ("both.mp4", "silent.mp4", "long.mp4"):
        path = clips / name
        prepared = prepare(Clip(path), SETTINGS)
        theirs = decode_video(path.read_bytes(), probe(path).duration, 5.0, 2.0, 32)
        assert prepared.sample.frames.shape == theirs.shape
        # FFmpeg knows of a decoded frame that its colour lies half a pixel to the left; of a picture it does not.
        assert np.abs(prepared.sample.frames.astype(int) - theirs.astype(int)).mean() < 1


def test_the_bar_stands_where_it_stood_at_the_time_of_each_picture(clips: Path) -> None:
    frames = prepare(Clip(clips / "both.mp4"), SETTINGS).sample.frames
    for time, picture in zip(frame_times(1.2, 5.0, 2.0), frames, strict=False):
        shown = (2 * int(time * 25 + 1e-6)) % 88 + 4
        found = picture[..., 0].astype(float).mean(0) - 40
        assert abs((found.clip(0) * (np.arange(32) + 0.5) * 3).sum() / found.clip(0).sum() - shown) < 3


def test_a_stretch_is_the_same_as_the_clip_cut_there(clips: Path) -> None:
    whole = prepare(Clip(clips / "both.mp4"), SETTINGS).sample
    part = prepare(Clip(clips / "both.mp4", start=0.4, end=1.0), SETTINGS)
    assert part.seconds == pytest.approx(0.6)
    np.testing.assert_array_equal(part.sample.frames, whole.frames[2:5])
    np.testing.assert_allclose(part.sample.waveform, whole.waveform[6400:16000], atol=2e-3)


@pytest.mark.parametrize(
    ("name", "present"), [("both.mp4", "av"), ("silent.mp4", "v"), ("sound.wav", "a"), ("old.avi", "av")]
)
def test_what_a_clip_lacks_is_left_out(clips: Path, name: str, present: str) -> None:
    prepared = prepare(Clip(clips / name, text="  "), SETTINGS)
    assert prepared.present == set(parse_subset(present))
    assert bool(prepared.sample.waveform.size) == ("a" in present)
    assert (prepared.sample.frames is not None) == ("v" in present)
    assert prepared.sample.text is None


def test_a_long_clip_is_cut_where_training_cuts_and_says_so(clips: Path) -> None:
    prepared = prepare(Clip(clips / "long.mp4"), SETTINGS)
    assert prepared.sample.duration == 2.0
    assert prepared.sample.waveform.size == 32_000
    assert prepared.sample.frames.shape[0] == 10
    assert prepared.warnings == ["only the first 2 of 5.0 seconds are used"]


@pytest.mark.parametrize("name", ["notes.txt", "empty.mp4", "cut.mp4", "absent.mp4", "."])
def test_what_is_no_media_is_refused_by_name(clips: Path, name: str) -> None:
    with pytest.raises(UnreadableMedia, match=str(clips)):
        prepare(Clip(clips / name), SETTINGS)


def test_a_stretch_behind_the_end_is_refused(clips: Path) -> None:
    with pytest.raises(UnreadableMedia):
        prepare(Clip(clips / "both.mp4", start=60.0, end=61.0), SETTINGS)


def test_an_animated_gif_is_a_clip_without_sound(clips: Path, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.gif"), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "rgb8"
        for level in range(0, 200, 20):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="rgb8")))
        container.mux(stream.encode())
    prepared = prepare(Clip(tmp_path / "a.gif"), SETTINGS)
    assert prepared.present == {Modality.VIDEO}
    assert prepared.seconds == pytest.approx(1.0)
    levels = prepared.sample.frames.mean((1, 2, 3))
    assert len(levels) == 5 and (np.diff(levels) > 0).all()


def test_mono_dual_mono_and_a_lone_centre_are_one_waveform(tmp_path: Path) -> None:
    seconds = np.arange(32_000) / 16_000
    wave = 0.9 * np.sin(2 * np.pi * 300 * seconds) * (seconds % 0.5 < 0.3)
    around = np.zeros((32_000, 6))
    around[:, 2] = wave
    soundfile.write(tmp_path / "mono.flac", wave, 16_000)
    soundfile.write(tmp_path / "dual.flac", np.stack([wave, wave], axis=1), 16_000)
    soundfile.write(tmp_path / "centre.flac", around, 16_000)  # FLAC's six channels are 5.1
    prepared = [prepare(Clip(tmp_path / f"{name}.flac"), SETTINGS) for name in ("mono", "dual", "centre")]
    for other in prepared[1:]:
        np.testing.assert_array_equal(other.sample.waveform, prepared[0].sample.waveform)
        assert other.warnings == []


def test_a_few_samples_beyond_full_scale_are_clipped_and_worth_no_word(tmp_path: Path) -> None:
    wave = np.zeros(16_000)
    wave[::2000] = 1.5
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    prepared = prepare(Clip(tmp_path / "a.wav"), SETTINGS)
    assert prepared.sample.waveform.max() == 1.0 and prepared.warnings == []


def test_what_training_would_have_clipped_is_clipped_and_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 1.5), 16_000, subtype="FLOAT")
    prepared = prepare(Clip(tmp_path / "a.wav"), SETTINGS)
    assert prepared.sample.waveform.max() == 1.0
    assert prepared.warnings == ["100.0% of the sound is beyond full scale and was clipped, as in packing"]


def test_a_gap_in_the_audio_is_said(tmp_path: Path) -> None:
    written = write(media.Clip("mp4", "libx264", "aac", audio_gap=True), tmp_path)
    assert written is not None
    assert any("its audio has gaps of 0.7" in line for line in prepare(Clip(written.path), SETTINGS).warnings)
