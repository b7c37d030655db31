"""The small visual encoder."""

from __future__ import annotations

import pytest
import torch

from dual_hpc.model.encoders.small_cnn import SmallCnnEncoder


@pytest.mark.parametrize("side", [16, 32, 47, 112])
def test_pictures_of_any_size_give_one_vector_each(side: int) -> None:
    frames = torch.randint(0, 256, (2, 3, 3, side, side), dtype=torch.uint8)
    features = SmallCnnEncoder()(frames, torch.tensor([3, 1]))
    assert features.shape == (2, 3, 64) and not features[1, 1:].any()


def test_where_something_is_can_be_told() -> None:
    face = SmallCnnEncoder()
    frames = torch.zeros(2, 1, 3, 48, 48, dtype=torch.uint8)
    frames[0, 0, :, 4:12, 4:12] = 255
    frames[1, 0, :, 36:44, 36:44] = 255
    one, two = face(frames, torch.tensor([1, 1]))[:, 0]
    assert (one - two).norm() > 0.1 * one.norm()


def test_a_batch_without_any_frame_keeps_the_graph() -> None:
    face = SmallCnnEncoder()
    features = face(torch.zeros(2, 0, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 0]))
    assert features.shape == (2, 1, 64) and not features.any()
    features.sum().backward()
    assert all(p.grad is not None for p in face.parameters())
