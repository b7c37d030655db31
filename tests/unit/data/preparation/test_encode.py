"""Members of a sample: exact where the format is, the same bytes every time, quick to enter anywhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from fractions import Fraction
from itertools import islice, pairwise

import av
import numpy as np
import pytest
import soundfile
from av.video.frame import PictureType
from av.video.reformatter import Interpolation
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.data.preparation.encode import KEY_SECONDS, constant_rate, encode_flac, encode_mp4, picture_types

pytestmark = pytest.mark.slow

PICTURES = [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(40)]


def one(value: int) -> np.ndarray:
    return np.full((1, 1, 3), value % 256, np.uint8)


def values(times: list[float], start: float, fps: int) -> list[int]:
    pictures = constant_rate(((t, one(i)) for i, t in enumerate(times)), start, Fraction(fps))
    return [int(p[0, 0, 0]) for p in pictures]


def test_a_source_of_that_rate_is_kept_picture_by_picture_despite_rounded_times() -> None:
    assert values([round(i * 1001 / 30000, 3) for i in range(90)], 0.0, 30) == list(range(90))


def test_a_gap_repeats_the_picture_before_it() -> None:
    assert values([0.0, 0.1, 0.4, 0.5], 0.0, 10) == [0, 1, 1, 1, 2, 3]


def test_a_faster_source_loses_every_other_picture() -> None:
    kept = values([i / 60 for i in range(60)], 0.0, 30)
    assert 30 <= len(kept) <= 31 and all(1 <= b - a <= 3 for a, b in pairwise(kept))


def test_a_late_first_picture_is_shown_from_the_beginning() -> None:
    assert values([0.3, 0.4], 0.0, 10) == [0, 0, 0, 0, 1]


@settings(deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=30), st.integers(1, 60))
def test_pictures_stay_in_order_and_their_number_is_the_time_they_span(times: list[float], fps: int) -> None:
    times = sorted(times)
    got = values(times, 0.0, fps)
    assert got == sorted(got) and got[-1] == len(times) - 1
    assert abs((len(got) - 1) / fps - times[-1]) <= 1 / fps


def test_flac_keeps_sixteen_bits_and_clips_what_is_louder() -> None:
    wave = np.array([0.0, 0.5, -0.25, 1.7, -1.7], np.float32)
    back, rate = soundfile.read(io.BytesIO(encode_flac(wave)), dtype="int16")
    assert rate == 16_000
    np.testing.assert_allclose(back, [0, 16384, -8192, 32767, -32768], atol=1)


def test_mp4_is_the_same_every_time_and_holds_every_picture() -> None:
    first = encode_mp4(iter(PICTURES), Fraction(30000, 1001), (64, 48), 23)
    assert first == encode_mp4(iter(PICTURES), Fraction(30000, 1001), (64, 48), 23) and first[1] == 40
    with av.open(io.BytesIO(first[0]), "r", format="mp4") as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size]
        assert stream.codec_context.name == "h264" and not container.streams.audio
        assert stream.average_rate == Fraction(30000, 1001) and len(packets) == 40
        assert sorted(p.pts or 0 for p in packets) == list(range(0, 40 * 1001, 1001))
        assert stream.start_time == 0 and stream.duration == 40 * 1001
    assert b"x264" not in first[0] and b"Lavc" not in first[0]


def test_quality_zero_is_without_loss() -> None:
    source = av.VideoFrame.from_ndarray(PICTURES[3], format="rgb24")
    source = source.reformat(64, 48, format="yuv420p", interpolation=Interpolation.AREA)
    with av.open(io.BytesIO(encode_mp4(iter(PICTURES[3:9]), Fraction(25), (64, 48), 0)[0])) as container:
        first = next(container.decode(video=0))
    assert np.array_equal(first.to_ndarray(format="yuv420p"), source.to_ndarray())


@pytest.mark.parametrize("hz", [5.0, 1.0, 0.2, 30.0])
def test_key_frames_come_often_enough_for_damage_to_stay_local(hz: float) -> None:
    data, count = encode_mp4((PICTURES[i % 40] for i in range(200)), Fraction(25), (32, 32), 23, hz)
    with av.open(io.BytesIO(data)) as container:
        keys = [i for i, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert count == 200 and keys[0] == 0 and max(np.diff([*keys, 200])) <= KEY_SECONDS * 25


def kinds(fps: int, hz: float, count: int) -> str:
    names = {PictureType.I: "I", PictureType.P: "P", PictureType.B: "b"}
    return "".join(names[kind] for kind in islice(picture_types(Fraction(fps), hz), count))


def test_the_pictures_that_training_looks_at_are_references_and_all_others_are_not() -> None:
    assert kinds(30, 5.0, 20) == "IbbPbbbbbPbbbbbPbbbb"  # on show at 0.1, 0.3, 0.5 s
    assert kinds(10, 10.0, 6) == "IPPPPP"
    assert kinds(5, 10.0, 21) == "IPPPPPPPPPPPPPPPPPPIP"  # each is two of the grid's
    assert kinds(4, 0.5, 21) == "IbbbPbbbbbbbIbbbbbbbP"


_ENCODE = """
import hashlib, sys
from fractions import Fraction
import numpy as np
from dual_hpc.data.preparation.encode import encode_mp4
y, x = np.mgrid[:224, :400]
for width in (398, 336, 144):
    pictures = []
    for i in range(40):
        waves = 128 + 60 * np.sin((x + 3 * i) / 17) + 40 * np.cos((y - 2 * i) / 11) + 20 * np.sin(x * y / 900 + i)
        pictures.append(np.repeat(waves[:, :width, None], 3, axis=2).clip(0, 255).astype(np.uint8))
    print(hashlib.sha256(encode_mp4(iter(pictures), Fraction(24), (width, 224), 23)[0]).hexdigest())
"""


def test_mp4_does_not_depend_on_what_memory_held_before() -> None:
    found = set()
    for filling in ("0", "90", "255"):  # glibc fills fresh memory with it
        environment = {**os.environ, "MALLOC_PERTURB_": filling}
        done = subprocess.run([sys.executable, "-c", _ENCODE], env=environment, capture_output=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


def test_a_single_picture_is_a_video() -> None:
    data, count = encode_mp4(iter(PICTURES[:1]), Fraction(25), (16, 16), 23)
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        assert count == len(list(container.decode(video=0))) == 1
