"""A served model answers batches as training makes them, and refuses at once what would cost its server memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import UserError
from dual_hpc.inference.served_request import check_request
from dual_hpc.model import DualConfig

CONFIG = DualConfig.of_run(ModelConfig(), text={"kind": "bert", "trainable": "all", "config": {"vocab_size": 30}})


def batch(**changes: Any) -> dict[str, Any]:
    made = {
        "waveform": np.zeros((2, 16_000), np.float32),
        "waveform_lengths": np.array([16_000, 0]),
        "frames": np.zeros((2, 5, 3, 8, 8), np.uint8),
        "frame_lengths": np.array([5, 0]),
        "input_ids": np.zeros((2, 4), np.int64),
        "attention_mask": np.ones((2, 4), np.int64),
        "durations": np.array([1.0, 20.0], np.float32),
    }
    return {name: array for name, array in {**made, **changes}.items() if array is not None}


WRONG: dict[str, list[Any]] = {
    "durations": [
        *(np.array([1.0, value], np.float32) for value in (1e9, -1.0, np.nan, np.inf)),
        np.ones((2, 2), np.float32),
        None,
        np.array(["a", "b"]),
        np.array([{}, {}], dtype=object),
    ],
    "waveform_lengths": [np.array([16_001, 0]), np.array([-1, 0]), np.array([1.5, 0.0]), np.array([10**15, 0])],
    "frame_lengths": [np.array([6, 0])],
    "waveform": [np.full((2, 10), np.nan, np.float32), np.zeros((2, 10**6), np.float32), np.zeros((3, 10), np.float32)],
    "input_ids": [np.full((2, 4), 30), np.full((2, 4), -1), np.zeros((2, 65), np.int64), np.zeros((2, 3), np.int64)],
    "attention_mask": [None],
}


@pytest.mark.parametrize(("name", "array"), [(name, array) for name, arrays in WRONG.items() for array in arrays])
def test_what_training_never_shows_is_refused_by_name(name: str, array: Any) -> None:
    tracemalloc.start()
    with pytest.raises(UserError) as caught:
        check_request(batch(**{name: array}), CONFIG)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert name in str(caught.value) or "rows" in str(caught.value) or name == "attention_mask"


def test_a_batch_of_training_is_taken() -> None:
    check_request(batch(), CONFIG)
    features = {"audio": np.zeros((2, 50, 6), np.float32), "audio_lengths": np.array([50, 0])}
    check_request({**features, "durations": np.ones(2, np.float32)}, CONFIG)
    with pytest.raises(UserError, match="rows"):
        check_request({}, CONFIG)
