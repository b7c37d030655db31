"""Channels to one: each layout keeps the level of its sound, whatever the layout is."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import Findings
from dual_hpc.data.decoding.downmix import Mixer, mono_weights
from dual_hpc.data.decoding.media import read_audio
from tests.media.clips import Clip, write
from tests.unit.data.decoding.test_media import tone, write_clip

LAYOUTS = ["mono", "stereo", "2.1", "3.0", "4.0", "quad", "5.0", "5.1", "5.1(side)", "6.1", "7.1", "7.1.4", "downmix"]


def names(layout: str) -> tuple[str, ...]:
    return tuple(channel.name for channel in av.AudioLayout(layout).channels)


def mixed(channels: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
    mixer = Mixer()
    mono = mixer.mix(channels.astype(np.float32), names(layout))
    return mono * np.float32(mixer.gain)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_sound_in_all_channels_keeps_its_level(layout: str) -> None:
    wave = 0.9 * np.sin(np.arange(1000) / 9).astype(np.float32)
    mono = mixed(np.tile(wave, (len(names(layout)), 1)), layout)
    np.testing.assert_allclose(mono, wave, atol=1e-6)


def test_dual_mono_is_exactly_mono_and_stereo_is_the_mean() -> None:
    left, right = np.random.default_rng(0).uniform(-1, 1, (2, 500)).astype(np.float32)
    np.testing.assert_array_equal(mixed(np.stack([left, left]), "stereo"), left)
    np.testing.assert_allclose(mixed(np.stack([left, right]), "stereo"), (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("layout", ["3.0", "5.0", "5.1", "5.1(side)", "7.1"])
def test_a_voice_that_is_in_the_centre_alone_keeps_its_level(layout: str) -> None:
    channels = np.zeros((len(names(layout)), 100), np.float32)
    channels[names(layout).index("FC")] = 0.5
    np.testing.assert_array_equal(mixed(channels, layout), np.full(100, 0.5, np.float32))


def test_the_low_frequency_channel_is_left_out() -> None:
    channels = np.zeros((6, 100), np.float32)
    channels[3] = 1.0
    assert not mixed(channels, "5.1").any()
    assert mono_weights(("LFE",)) == (1.0,)  # all that there is


def test_channels_that_nothing_names_are_averaged_and_ambisonics_is_its_first() -> None:
    assert mono_weights(("NONE",) * 4) == (0.25,) * 4
    assert mono_weights(("FL", "FR", "XX")) == (1 / 3,) * 3
    assert mono_weights(("AMBI0", "AMBI1", "AMBI2", "AMBI3")) == (1.0, 0.0, 0.0, 0.0)


@given(st.sampled_from(LAYOUTS), st.integers(0, 2**32 - 1))
def test_the_mix_is_never_louder_than_the_loudest_channel(layout: str, seed: int) -> None:
    channels = np.random.default_rng(seed).uniform(-1, 1, (len(names(layout)), 50)).astype(np.float32)
    assert np.abs(mixed(channels, layout)).max() <= np.abs(channels).max() + 1e-6


def test_opposite_channels_are_noticed(tmp_path: Path) -> None:
    wave = tone(440, 1, 16_000)
    soundfile.write(tmp_path / "a.wav", np.stack([wave, -wave], axis=1), 16_000)
    soundfile.write(tmp_path / "b.wav", np.stack([wave, 0 * wave], axis=1), 16_000)
    for name, cancelled in (("a.wav", True), ("b.wav", False)):
        findings = Findings()
        read_audio(tmp_path / name, findings=findings)
        assert findings.cancelled == cancelled


def test_a_loud_sine_in_dual_mono_is_not_clipped(tmp_path: Path) -> None:
    wave = tone(440, 1) * np.float32(1.8)
    path = write_clip(tmp_path / "a.wav", 0, np.stack([wave, wave]), "stereo", audio_codec="pcm_s16le")
    assert np.abs(read_audio(path)).max() == pytest.approx(0.9, abs=0.01)


def test_floats_beyond_full_scale_are_read_as_they_are(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.5, 1.5, -2.0]), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), [0.5, 1.5, -2.0])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_format_of_samples_has_the_same_scale(tmp_path: Path, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", np.full((100, 2), -0.5), 16_000, subtype=subtype)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), -0.5, atol=0.005)


# Each in a process of its own: PyAV 18 ends the process at them, if it is let.
@pytest.mark.parametrize(("container", "codec"), [("aiff", "pcm_s16be"), ("caf", "pcm_s16le"), ("mp4", "aac")])
def test_eight_channels_do_not_end_the_process(tmp_path: Path, container: str, codec: str) -> None:
    written = write(Clip(container, None, codec, layout="7.1"), tmp_path)
    assert written is not None
    code = (
        "import sys; from dual_hpc.data.decoding.media import read_audio\nfor _ in range(20): read_audio(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(written.path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]


def test_unnamed_channels_of_a_film_are_loudspeakers_and_those_of_a_bare_wav_are_not(tmp_path: Path) -> None:
    channels = np.zeros((6, 16_000), np.float32)
    channels[2] = tone(440, 1, 16_000)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="5.1")
        packed = np.ascontiguousarray((channels * 32767).astype(np.int16).T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="5.1")
        frame.rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode()])
    buffer = io.BytesIO()
    soundfile.write(buffer, channels.T, 16_000, format="WAV")
    (tmp_path / "a.wav").write_bytes(buffer.getvalue())
    assert np.abs(read_audio(tmp_path / "a.mkv")).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(read_audio(tmp_path / "a.wav")).max() == pytest.approx(0.5 / 6, abs=0.01)
