"""A preset below a file below the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config import different_settings, load_config, preset_names
from dual_hpc.config.layers import merge
from dual_hpc.errors import UserError


@pytest.mark.parametrize("preset", preset_names())
def test_a_file_that_names_a_preset_changes_only_what_it_says(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"preset: {preset}\noptim: {{lr: 7.0e-5}}\ndata:\n  # image_size: 64\n")
    assert set(different_settings(load_config(preset), load_config(path))) == {"optim.lr"}
    assert load_config(path).optim.lr == 7e-5


def test_the_order_is_preset_file_command_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {epochs: 7}\n")
    config = load_config(path, ["seed=3", "preset=demo", "optim.lr=1e-5"])
    assert (config.model.hidden_size, config.training.epochs, config.optim.lr, config.seed) == (48, 7, 1e-5, 3)


def test_the_preset_of_the_command_line_takes_the_place_of_the_file_s(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: meld\nseed: 4\n")
    assert load_config(path, ["preset=demo"]) == load_config("demo", ["seed=4"])


def test_a_setting_that_is_a_mapping_or_a_list_is_replaced_and_a_section_is_merged(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: meld\nmodel:\n  video: {config: {width: 8}}\noptim: {betas: [0.8, 0.9]}\n")
    config = load_config(path)
    assert config.model.video.config == {"width": 8} and config.optim.betas == (0.8, 0.9)
    assert config.model.video.kind == "resnet" and config.model.video.path is not None


def test_an_override_of_a_key_within_a_mapping_keeps_what_the_layers_below_say(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: demo\nmodel: {video: {config: {width: 8}}}\n")
    assert load_config(path, ["model.video.config.depth=2"]).model.video.config == {"width": 8, "depth": 2}


@pytest.mark.parametrize(
    "said", ["preset: demp", "preset: 3", "preset: [demo]", "preset: ../presets/demo", "preset: x.yaml"]
)
def test_a_preset_that_does_not_exist_is_one_line(said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(said)
    with pytest.raises(UserError, match=r"^preset: preset .* is unknown: ") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_an_empty_preset_is_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset:\nseed: 4\n")
    assert load_config(path) == load_config(None, ["seed=4"])


TREES = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 9),
        "optim": st.none() | st.dictionaries(st.sampled_from(["lr", "eps", "betas"]), st.integers(1, 3)),
        "model": st.dictionaries(st.sampled_from(["audio", "video"]), st.none() | st.just({"kind": "x"})),
    },
)


@given(TREES, TREES, TREES)
def test_layers_may_be_laid_in_any_grouping(
    below: dict[str, Any], middle: dict[str, Any], above: dict[str, Any]
) -> None:
    assert merge(merge(below, middle), above) == merge(below, merge(middle, above))
    assert merge(below, {}) == below and merge({}, above) == above
