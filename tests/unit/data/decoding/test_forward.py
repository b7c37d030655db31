"""Windows of a file that cannot seek: each is what it is alone, and all together decode the file once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dual_hpc.data.decoding import stretch
from dual_hpc.data.decoding.container import UnreadableMedia
from dual_hpc.data.decoding.forward import ForwardReading
from dual_hpc.data.decoding.media import iter_frames, read_audio
from dual_hpc.inference.batch import answer_all
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.requests import Clip
from tests.unit.inference.conftest import write_clip

SECONDS, FPS, RATE = 24, 25, 44_100
WINDOWS = [(start, start + 4.0) for start in np.arange(0.0, SECONDS - 4.0, 2.0).tolist()]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program stream, which has no index: a tone and a grey that rise."""
    path = tmp_path_factory.mktemp("film") / "film.mpg"
    with av.open(str(path), "w") as out:
        pictures: Any = out.add_stream("mpeg1video", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound: Any = out.add_stream("mp2", rate=RATE)
        sound.layout = "stereo"
        for second in range(SECONDS):
            for number in range(second * FPS, (second + 1) * FPS):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 251, np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                out.mux(pictures.encode(frame))
            wave = 8000 * np.sin(2 * np.pi * (200 + 10 * second) * np.arange(RATE) / RATE)
            heard = av.AudioFrame.from_ndarray(np.repeat(wave.astype(np.int16), 2)[None], format="s16", layout="stereo")
            heard.sample_rate, heard.pts, heard.time_base = RATE, second * RATE, Fraction(1, RATE)
            out.mux(sound.encode(heard))
        for stream in (pictures, sound):
            out.mux(stream.encode())
    return path


@pytest.fixture
def decoded_frames(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many frames were decoded so far."""
    count, timed = 0, stretch._timed

    def counting(*arguments: Any) -> Iterator[tuple[float, Any]]:
        nonlocal count
        for found in timed(*arguments):
            count += 1
            yield found

    monkeypatch.setattr(stretch, "_timed", counting)
    return lambda: count


def heard(path: Path, start: float, end: float) -> np.ndarray:
    return read_audio(path, start, end)


def seen(path: Path, start: float, end: float) -> np.ndarray:
    return np.array([[seconds, *picture[10, 10]] for seconds, picture in iter_frames(path, start, end)])


@pytest.mark.parametrize("read", [heard, seen])
def test_windows_are_what_they_are_alone_and_the_file_is_decoded_once(
    film: Path, decoded_frames: Callable[[], int], read: Callable[[Path, float, float], np.ndarray]
) -> None:
    alone = [read(film, *window) for window in WINDOWS]
    each = decoded_frames()
    with ForwardReading() as reading:
        together = [read(film, *window) for window in WINDOWS]
    reading.close()
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)
    whole = SECONDS * (FPS if read is seen else RATE / 1152)
    assert each > 4 * whole and decoded_frames() - each < 1.5 * whole


def test_a_stretch_before_the_last_one_is_read_again_and_gaps_are_passed_over(film: Path) -> None:
    stretches = [(start, start + 2) for start in (12.0, 18.5, 3.0, 3.0, 20.0)]
    alone = [(heard(film, *one), seen(film, *one)) for one in stretches]
    with ForwardReading() as reading:
        for one, (sound, pictures) in zip(stretches, alone, strict=True):
            assert np.array_equal(heard(film, *one), sound)
            assert np.array_equal(seen(film, *one), pictures)
    reading.close()


def test_what_is_kept_is_bounded(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dual_hpc.data.decoding.forward._MOST_BYTES", 200_000)
    alone = [seen(film, *window) for window in WINDOWS]
    with ForwardReading() as reading:
        for window, wanted in zip(WINDOWS, alone, strict=True):
            assert np.array_equal(seen(film, *window), wanted)
            assert all(one._bytes <= 200_000 for one in reading._passes.values())
    reading.close()


def test_a_file_that_ends_early_fails_where_its_end_is_and_not_before(film: Path, tmp_path: Path) -> None:
    whole = film.read_bytes()
    (tmp_path / "cut.mpg").write_bytes(whole[: len(whole) // 2])
    results: list[list[bool]] = []
    for reading in (None, ForwardReading()):
        found = []
        for window in WINDOWS:
            try:
                if reading is None:
                    heard(tmp_path / "cut.mpg", *window)
                else:
                    with reading:
                        heard(tmp_path / "cut.mpg", *window)
                found.append(True)
            except UnreadableMedia:
                found.append(False)
        results.append(found)
    assert results[0] == results[1] and results[0][0] and not results[0][-1]


def test_the_pieces_of_a_manifest_are_read_in_one_pass(
    film: Path, saved_model: Path, decoded_frames: Callable[[], int]
) -> None:
    predictor = Predictor.from_pretrained(saved_model, device="cpu")
    pieces = [Clip(film, start=start, end=start + 1.0) for start in np.arange(1.0, 23.0, 1.0).tolist()]
    out = io.StringIO()
    assert answer_all(predictor, pieces, out, io.StringIO()) == 0
    whole = SECONDS * (FPS + RATE / 1152)
    assert len(out.getvalue().splitlines()) == len(pieces) and decoded_frames() < 1.5 * whole


def test_a_file_that_can_seek_is_read_as_ever(tmp_path: Path, film: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 6.0)
    with ForwardReading() as reading:
        heard(path, 3.0, 5.0)
        heard(path, 0.5, 2.0)
        seen(path, 3.0, 5.0)
    assert not reading._passes
