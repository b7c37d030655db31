"""One thread: what is compared here is small."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def poison(monkeypatch):
    """Every uninitialised buffer is full of NaN."""
    empty, new_empty, empty_like = torch.empty, torch.Tensor.new_empty, torch.empty_like

    def poisoned(make):
        def allocate(*args, **kwargs):
            out = make(*args, **kwargs)
            return out.fill_(float("nan")) if out.is_floating_point() else out

        return allocate

    monkeypatch.setattr(torch, "empty", poisoned(empty))
    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(new_empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(empty_like))
