from __future__ import annotations

import numpy as np
import pytest

from shards.synthetic.emotions import perform
from shards.synthetic.faces import backdrop, draw_head, draw_identity, listening, speaking

SECONDS = np.arange(60) / 15


def film(emotion: str, seed: int = 0, centre: tuple[float, float] = (60, 42)) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [60, 80, 120, 3] of someone speaking, and the planted activation [60]."""
    rng = np.random.default_rng(seed)
    identity = draw_identity(rng, female=True)
    while (performance := perform(rng, emotion, 4.0)).video_weak:
        pass
    canvas = np.repeat(backdrop(80, 120, identity)[None], 60, axis=0)
    draw_head(canvas, identity, speaking(rng, performance, SECONDS), centre, 35)
    return canvas, performance.activation(SECONDS, False)


@pytest.mark.parametrize("emotion", ["joy", "anger", "fear"])
def test_the_open_mouth_follows_the_activation_at_48_pixels(emotion: str) -> None:
    pictures, activation = film(emotion)
    small = pictures[:, ::2, ::2]
    dark = (small[:, 20:, 20:40].max(axis=-1) < 70).sum(axis=(1, 2))
    assert np.corrcoef(dark, activation)[0, 1] > 0.8


def test_colours_stay_in_range_and_the_face_fills_its_half() -> None:
    pictures, _ = film("surprise")
    assert pictures.min() >= 0 and pictures.max() <= 255
    plain = backdrop(80, 120, draw_identity(np.random.default_rng(0), female=True))
    assert (np.abs(pictures - plain).max(axis=-1) > 10).mean() > 0.35


@pytest.mark.parametrize("centre", [(-500.0, 0.0), (0.0, 0.0), (119.0, 79.0), (60.0, 400.0)])
def test_a_head_at_or_beyond_the_edge_is_clipped(centre: tuple[float, float]) -> None:
    pictures, _ = film("neutral", centre=centre)
    assert np.isfinite(pictures).all()


def test_speakers_look_different() -> None:
    looks = {draw_identity(np.random.default_rng(k), female=k % 2 == 0).skin for k in range(10)}
    assert len(looks) == 10


def test_the_listener_moves_less_than_the_speaker_but_moves() -> None:
    rng = np.random.default_rng(5)
    idle = listening(rng, SECONDS)
    busy = speaking(rng, perform(rng, "neutral", 4.0), SECONDS)
    assert 0 < np.abs(np.diff(idle.mouth_open)).mean() < np.abs(np.diff(busy.mouth_open)).mean()
    assert np.abs(np.diff(idle.y)).max() > 0
