"""Bringing a sequence onto the common time grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.model.grid import grid_lengths, resample

RATES = st.sampled_from([2.5, 5.0, 10.0, 25.0, 30.0, 50.0])


@given(st.integers(1, 2_000), RATES)
def test_a_whole_number_of_steps_is_not_rounded_up(steps: int, hz: float) -> None:
    assert grid_lengths(torch.tensor([steps / hz]), hz).item() == steps


def test_a_started_step_counts_and_there_is_always_one() -> None:
    assert grid_lengths(torch.tensor([0.0, 0.01, 1.0, 1.01]), 10.0).tolist() == [1, 1, 10, 11]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), RATES, RATES, st.integers(0, 9))
def test_a_constant_stays_constant_at_every_step(length: int, source_hz: float, grid_hz: float, padding: int) -> None:
    x = torch.full((1, length + padding, 2), float("nan"))
    x[:, :length] = 3.0
    out = resample(x, torch.tensor([length]), source_hz, 30, grid_hz)
    torch.testing.assert_close(out, torch.full((1, 30, 2), 3.0))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.floats(1.0, 5.0))
def test_a_slower_source_is_interpolated_linearly(length: int, factor: float) -> None:
    source_hz, grid_hz = 5.0, 5.0 * factor
    values = torch.randn(length, generator=torch.Generator().manual_seed(length))
    steps = int(length * factor)
    out = resample(values.view(1, -1, 1), torch.tensor([length]), source_hz, steps, grid_hz).flatten()
    expected = np.interp((np.arange(steps) + 0.5) / grid_hz, (np.arange(length) + 0.5) / source_hz, values.numpy())
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-4)


def test_a_faster_source_is_pooled_around_the_centre_of_each_step() -> None:
    ramp = torch.arange(50.0).view(1, 50, 1)
    out = resample(ramp, torch.tensor([50]), 50.0, 10, 10.0).flatten()
    torch.testing.assert_close(out[1:-1], torch.arange(1, 9) * 5.0 + 2)
    alternating = torch.tensor([1.0, -1.0]).repeat(25).view(1, 50, 1)
    assert resample(alternating, torch.tensor([50]), 50.0, 10, 10.0).abs().max() < 0.25


def test_equal_rates_change_nothing() -> None:
    x = torch.randn(2, 7, 3)
    torch.testing.assert_close(resample(x, torch.tensor([7, 7]), 10.0, 7, 10.0), x)


def test_an_empty_source_gives_zeros() -> None:
    out = resample(torch.full((1, 3, 2), float("nan")), torch.tensor([0]), 5.0, 4, 10.0)
    assert not out.any()


@pytest.mark.parametrize("length", [1, 3, 6])
def test_padding_gets_no_gradient(length: int) -> None:
    x = torch.randn(1, 6, 2, requires_grad=True)
    resample(x, torch.tensor([length]), 5.0, 20, 10.0).sum().backward()
    assert x.grad is not None
    assert not x.grad[:, length:].any() and x.grad[:, :length].gt(0).all()
