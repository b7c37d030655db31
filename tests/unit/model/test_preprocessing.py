"""A saved model whose inputs could not have been prepared so is refused, by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.errors import UserError
from dual_hpc.model import load_model, save_model
from dual_hpc.model.preprocessing import DEFAULTS, preprocessing_mistake
from dual_hpc.model_manifest import write_manifest

_VALUES: dict[str, list[Any]] = {
    "sample_rate": [0, -1, 8_000, "16000", None, True, 1e9, float("nan")],
    "image_size": [0, 10**9, 12.5, "big", [], float("inf")],
    "video_hz": [0, -5.0, 1e9, float("nan"), {}],
    "max_seconds": [0, 1e12, float("inf"), "all"],
    "max_tokens": [0, 10**12, 1.5],
}
IMPOSSIBLE = [(key, value) for key, values in _VALUES.items() for value in values]


@pytest.mark.parametrize(("key", "value"), IMPOSSIBLE)
def test_an_impossible_value_is_named(key: str, value: Any) -> None:
    assert str(preprocessing_mistake({**DEFAULTS, key: value})).startswith(f"preprocessing.{key}")


def test_possible_values_together_may_be_impossible() -> None:
    each = {"image_size": 4_096, "video_hz": 500.0, "max_seconds": 3_600.0}
    assert all(preprocessing_mistake({**DEFAULTS, key: value}) is None for key, value in list(each.items())[2:])
    assert "GiB" in str(preprocessing_mistake({**DEFAULTS, **each}))


def test_integers_and_keys_of_later_versions_are_taken() -> None:
    assert preprocessing_mistake({**DEFAULTS, "video_hz": 5, "max_seconds": 20, "colours": "yuv"}) is None


@pytest.mark.parametrize(
    "scale",
    [
        {"mean": [0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.0, 0.5]},
        {"mean": [0.5, float("nan"), 0.5], "std": [0.5, 0.5, 0.5]},
        {"mean": 0.5, "std": 0.5},
        {"mean": ["a", "b", "c"], "std": [1, 1, 1]},
        {"std": [1, 1, 1]},
        [],
        3,
    ],
)
def test_a_scale_of_images_that_cannot_be_is_refused(scale: Any, make_model: Any, tmp_path: Path) -> None:
    save_model(make_model("wav2vec2-vit-roberta", use_text=False), None, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["video"]["scale"] = scale
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_manifest(tmp_path)
    if scale == []:  # as if there were none
        load_model(tmp_path)
        return
    with pytest.raises(UserError, match="scale"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "labels", [{}, {"0": "a", "2": "b"}, {"0": "a", "1": "a"}, {"0": 3}, {"x": "a"}, ["a", "b"], {"0": ""}]
)
def test_classes_that_are_not_numbered_or_named_are_refused(labels: Any, make_model: Any, tmp_path: Path) -> None:
    save_model(make_model(use_text=False), None, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "id2label": labels}))
    write_manifest(tmp_path)
    with pytest.raises(UserError):
        load_model(tmp_path)
