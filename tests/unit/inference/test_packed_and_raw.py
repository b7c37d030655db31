"""A clip that was packed and the same clip raw are one sample, whatever packing did to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from dual_hpc.config.schema import DataConfig, ModelConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.loader import EvalLoader
from dual_hpc.data.preparation.faces import haar_detector
from dual_hpc.data.preparation.record import Preparation
from dual_hpc.errors import UserError
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.requests import Clip
from dual_hpc.model import build_model, load_model, save_model
from shards.options import PackOptions
from shards.packing import pack
from tests.media.drawn_face import drawn_face
from tests.unit.conftest import LABELS, PREPROCESSING

SMALL = PackOptions(video_size=48)


def write(path: Path, picture_of: Callable[[int], NDArray[np.uint8]], pictures: int = 36, rate: int = 24) -> Path:
    """Pictures, and a rising tone on both channels."""
    height, width = picture_of(0).shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=44_100, layout="stereo")
        for number in range(pictures):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_of(number), format="rgb24")))
        t = np.arange(44_100 * pictures // rate) / 44_100
        wave = (0.4 * np.sin(2 * np.pi * (150 + 80 * t) * t)).astype(np.float32)
        for at in range(0, wave.size, 1024):
            frame = av.AudioFrame.from_ndarray(np.tile(wave[at : at + 1024], (2, 1)), format="fltp", layout="stereo")
            frame.rate, frame.pts = 44_100, at
            container.mux(sound.encode(frame))
        for each in (stream, sound):
            container.mux(each.encode())
    return path


def wandering(number: int, face: bool = True) -> NDArray[np.uint8]:
    """A face that moves to the right before a noisy background; half of the time, if at all."""
    background = np.random.default_rng(number // 6).integers(0, 255, (36, 64, 3), np.uint8)
    picture = np.repeat(np.repeat(background, 10, 0), 10, 1) // 8
    if face:
        picture[60:300, 40 + 6 * number : 280 + 6 * number] = drawn_face()
    return picture


def halves(number: int) -> NDArray[np.uint8]:
    picture = np.zeros((96, 144, 3), np.uint8)
    picture[24:72, :72, 0] = 5 * number
    picture[24:72, 72:, 2] = np.arange(72) * 3
    return picture


def packed(clip: Path, out: Path, options: PackOptions, corpus: str = "manifest") -> ShardDataset:
    rows = [{"audio": clip.name, "video": clip.name, "label": label, "id": label} for label in ("joy", "fear")]
    manifest = clip.parent / "mine.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    pack(corpus, manifest, out, options, progress=False)
    return ShardDataset([out])


def batch_of(shards: ShardDataset, number: int = 0) -> dict[str, Any]:
    keys = ("image_size", "video_hz", "max_seconds", "max_tokens")
    config = DataConfig(**{key: PREPROCESSING[key] for key in keys}, workers=0, micro_batch=1)
    loader = EvalLoader(shards, [number], [0], config, None)
    batch = next(iter(loader))
    loader.close()
    return batch


def trained_on(how: Preparation | None, folder: Path) -> Predictor:
    torch.manual_seed(0)
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1, use_text=False)
    record = None if how is None else how.to_json()
    save_model(build_model(config, LABELS, PREPROCESSING, None, None, preparation=record), None, folder)
    return Predictor.from_pretrained(folder, "cpu")


def assert_same(predictor: Predictor, clip: Clip, batch: dict[str, Any]) -> None:
    sample = predictor.prepare(clip).sample
    np.testing.assert_array_equal(sample.waveform, batch["waveform"][0].numpy())
    np.testing.assert_array_equal(sample.frames, batch["frames"][0].permute(0, 2, 3, 1).numpy())
    with torch.inference_mode():
        logits = predictor.model(**{name: batch[name] for name in predictor.inputs if name in batch}).logits
    answer = predictor.predict(clip.path, clip.text, clip.start, clip.end, clip.side)
    assert list(answer.probabilities.values()) == pytest.approx(logits.softmax(-1)[0].tolist(), abs=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        SMALL,
        replace(SMALL, max_fps=7),
        replace(SMALL, audio="center"),
        replace(SMALL, crf=40, grid_hz=2.0),
        replace(SMALL, max_seconds=0.7),
        replace(SMALL, faces=True),
    ],
    ids=["plain", "slow", "center", "coarse", "cut", "faces"],
)
def test_a_clip_packed_and_raw_gives_the_same_answer(tmp_path: Path, options: PackOptions) -> None:
    if options.faces:
        pytest.importorskip("cv2")
    clip = write(tmp_path / "a.mp4", wandering)
    shards = packed(clip, tmp_path / "shards", options)
    assert shards.preparation == options.preparation()
    predictor = trained_on(shards.preparation, tmp_path / "model")
    assert_same(predictor, Clip(clip), batch_of(shards))
    said = predictor.predict(clip).preparation
    assert said["audio"] == options.audio and said["picture"] == ("face" if options.faces else "whole")


@pytest.mark.parametrize(("seen", "unseen"), [(0, 100), (18, 0), (36, 0)])
def test_pictures_without_a_face_are_said(tmp_path: Path, seen: int, unseen: int) -> None:
    pytest.importorskip("cv2")
    assert haar_detector()(drawn_face())
    clip = write(tmp_path / "a.mp4", lambda number: wandering(number, number < seen))
    predictor = trained_on(replace(SMALL, faces=True).preparation(), tmp_path / "model")
    answer = predictor.predict(clip)
    share = answer.preparation["face_share"]
    assert (share == 0) == (seen == 0) and (seen < 36 or share > 0.9)
    warned = [line for line in answer.warnings if "no face was seen in" in line]
    assert bool(warned) == (round(100 * (1 - share)) > 0)
    assert not unseen or f"no face was seen in {unseen} % of the pictures" in warned[0]


def test_a_half_of_the_picture_is_cut_where_it_is_named_and_missed_where_not(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4", halves)
    how = SMALL.preparation().model_copy(update={"halves": True})
    predictor = trained_on(how, tmp_path / "model")
    left = predictor.prepare(Clip(clip, side="left"))
    right = predictor.prepare(Clip(clip, side="right"))
    assert left.done["picture"] == "left half" and not left.warnings
    assert left.sample.frames is not None and right.sample.frames is not None
    assert left.sample.frames[-1][..., 2].max() < 40 < left.sample.frames[-1][..., 0].mean()
    assert right.sample.frames[-1][..., 0].max() < 60 < right.sample.frames[-1][..., 2].mean()
    assert any("halves of the picture" in line for line in predictor.predict(clip).warnings)
    with pytest.raises(UserError, match="whole pictures"):
        trained_on(SMALL.preparation(), tmp_path / "other").predict(clip, side="left")


def test_a_model_without_the_record_sees_its_clips_as_before(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4", wandering)
    predictor = trained_on(None, tmp_path / "model")
    assert "preparation" not in json.loads((tmp_path / "model" / "config.json").read_text())
    answer = predictor.predict(clip)
    assert "preparation" not in answer.to_json() and answer.warnings == []
    sample = predictor.prepare(Clip(clip)).sample
    assert sample.frames is not None and sample.frames.shape == (7, 32, 32, 3)


@pytest.mark.parametrize(
    "change", [{"video_size": 10**9}, {"crf": "x"}, {"picture_rows": [0.9, 0.1]}, {"max_seconds": float("inf")}]
)
def test_an_impossible_record_is_refused_by_its_key(tmp_path: Path, change: dict[str, Any]) -> None:
    record = {**SMALL.preparation().to_json(), **change}
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1, use_text=False)
    model = build_model(config, LABELS, PREPROCESSING, None, None, preparation=record)
    with pytest.raises(UserError, match=f"preparation.{min(change)}"):
        Predictor(model, None, torch.device("cpu"))


@pytest.mark.parametrize("audio", ["downmix", "center"])
@pytest.mark.parametrize("ending", ["wav", "flac", "mp4"])
def test_mono_dual_mono_stereo_and_a_lone_centre_are_answered_alike(tmp_path: Path, audio: str, ending: str) -> None:
    t = np.arange(32_000) / 16_000
    voice = 0.5 * np.sin(2 * np.pi * (180 + 40 * t) * t) * (t % 0.6 < 0.45)
    layouts = {"mono": (1, [0]), "stereo": (2, [0, 1]), "5.1": (6, [2])}
    predictor = trained_on(replace(SMALL, audio=audio).preparation(), tmp_path / "model")
    answers = []
    for name, (count, filled) in layouts.items():
        path = tmp_path / f"{name.replace('.', '')}.{ending}"
        sound = np.zeros((voice.size, count))
        sound[:, filled] = voice[:, None]
        if ending == "mp4":
            coded_sound(path, sound.T.astype(np.float32), name)
        else:
            soundfile.write(path, sound, 16_000, format="WAVEX" if ending == "wav" else None, subtype="PCM_16")
        answers.append(list(predictor.predict(path).probabilities.values()))
    for other in answers[1:]:
        assert other == pytest.approx(answers[0], abs=1e-2)


def coded_sound(path: Path, sound: NDArray[np.float32], layout: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout=layout, options={"b": "256k"})
        for at in range(0, sound.shape[1], 1024):
            part = np.ascontiguousarray(sound[:, at : at + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.rate, frame.pts = 16_000, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_the_model_loads_what_it_was_saved_with(tmp_path: Path) -> None:
    how = replace(SMALL, faces=True, audio="center").preparation()
    trained_on(None, tmp_path / "plain")
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1, use_text=False)
    save_model(build_model(config, LABELS, PREPROCESSING, None, None, preparation=how.to_json()), None, tmp_path / "m")
    assert Preparation.model_validate(load_model(tmp_path / "m")[0].config.preparation) == how
