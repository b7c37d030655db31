"""Collection of garbage waits while a process starts, and goes on afterwards."""

from __future__ import annotations

import gc

import pytest

from dual_hpc.start_up import without_collection


class Node:
    """Something in a circle."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_made_is_not_looked_through_again_and_what_follows_is_collected() -> None:
    try:
        with without_collection():
            assert not gc.isenabled()
            kept = [Node() for _ in range(1000)]
            with without_collection():
                pass
            assert not gc.isenabled()  # the outer block has not ended
        assert gc.isenabled() and gc.get_freeze_count() >= len(kept)
        for _ in range(10):
            Node()
        assert gc.collect() >= 10
    finally:
        gc.unfreeze()


def test_it_goes_on_after_an_error() -> None:
    try:
        with pytest.raises(ValueError), without_collection():
            raise ValueError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
