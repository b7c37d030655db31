"""What SDM starts as, and that it finds which way a movement goes."""

from __future__ import annotations

import torch
from torch import nn

from dual_hpc.model.dual.differential import AudioDifferential

WIDTH, STEPS = 48, 11


def differential(seed: int) -> AudioDifferential:
    torch.manual_seed(seed)
    return AudioDifferential(WIDTH, enabled=True, implementation="torch")


def lengths(count: int) -> torch.Tensor:
    return torch.full((count,), STEPS)


def test_it_starts_blind_to_level_and_as_large_as_what_changes() -> None:
    sdm = differential(0)
    level = 3 * torch.randn(8, 1, WIDTH)
    still = level.expand(-1, STEPS, -1)
    moved = level + 0.3 * torch.randn(8, STEPS, WIDTH)
    with torch.no_grad():
        of_still, of_moved = (sdm(x, lengths(8))[0] for x in (still, moved))
    assert of_still.abs().max() < 1e-4
    change = (moved[:, 1:] - moved[:, :-1]).norm(dim=-1).mean()
    assert change / 3 < of_moved[:, 1:].norm(dim=-1).mean() < 3 * change


def movements(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames [B, T, d] of a level of their own that rise slowly and fall at once (1), or the other way round (0)."""
    way = torch.randint(0, 2, (count,), generator=generator)
    period = 5 + 2 * torch.rand(count, 1, generator=generator)
    phase = torch.rand(count, 1, generator=generator)
    rising = (torch.arange(STEPS) / period + phase) % 1 - 0.5
    wave = torch.where(way.bool()[:, None], rising, -rising)
    direction = torch.linspace(-1, 1, WIDTH)
    level, noise = (torch.randn(count, n, WIDTH, generator=generator) for n in (1, STEPS))
    return level + 1.5 * wave[..., None] * direction + 0.2 * noise, way


def test_it_learns_which_way_a_movement_goes() -> None:
    sdm, generator = differential(1), torch.Generator().manual_seed(0)
    above = nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.GELU())
    head = nn.Linear(WIDTH, 2)
    parameters = [one for part in (sdm, above, head) for one in part.parameters()]
    optimizer = torch.optim.Adam(parameters, 2e-3)

    def answer(x: torch.Tensor) -> torch.Tensor:
        return head(above(sdm(x, lengths(len(x)))[1]).mean(1))

    for _ in range(120):
        x, way = movements(32, generator)
        nn.functional.cross_entropy(answer(x), way).backward()
        optimizer.step()
        optimizer.zero_grad()
    x, way = movements(400, generator)
    with torch.no_grad():
        right = (answer(x).argmax(1) == way).float().mean()
    assert right > 0.85
