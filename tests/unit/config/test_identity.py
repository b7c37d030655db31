"""What decides a result, and what a run may go on with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.config import (
    RunConfig,
    config_hash,
    differences,
    first_change,
    immutable_settings,
    load_config,
    may_change,
    mutable_changes,
)

PLAIN = load_config("demo", ["store=s"])
OTHERWISE = st.fixed_dictionaries(
    {
        "launch.nodes": st.integers(1, 64),
        "launch.hours": st.floats(0.1, 100),
        "checkpoint.every_steps": st.integers(0, 1000),
        "checkpoint.every_minutes": st.floats(0.1, 100),
        "checkpoint.asynchronous": st.booleans(),
        "checkpoint.keep_best": st.integers(0, 9),
        "data.workers": st.integers(0, 32),
        "data.read_ahead": st.integers(1, 32),
        "data.bad_sample_limit": st.integers(0, 100),
        "training.log_every": st.integers(1, 100),
        "training.profile_steps": st.tuples(st.integers(1, 9), st.integers(9, 99)).map(list),
        "training.profile_ranks": st.lists(st.integers(0, 9)),
        "training.memory_history": st.booleans(),
        "training.hang_minutes": st.floats(0.1, 100),
        "training.collective_timeout_minutes": st.floats(0.1, 100),
    }
)


def changed(values: dict[str, Any]) -> RunConfig:
    return load_config("demo", ["store=s", *(f"{key}={str(value).lower()}" for key, value in values.items())])


@settings(max_examples=20, deadline=None)
@given(OTHERWISE)
def test_how_a_run_is_started_saved_fed_and_watched_is_not_what_it_is(values: dict[str, Any]) -> None:
    other = changed(values)
    assert config_hash(other) == config_hash(PLAIN)
    changes, plain = mutable_changes(PLAIN, other), PLAIN.model_dump(mode="json")
    asked = {key: value for key, value in values.items() if not key.startswith("launch.")}
    differing = {key: value for key, value in asked.items() if value != plain[key.split(".")[0]][key.split(".")[1]]}
    assert {
        f"{section}.{key}": value for section, found in changes.items() for key, value in found.items()
    } == differing
    assert all(may_change(key) for key in values)


@pytest.mark.parametrize(
    "override",
    [
        *("seed=1", "name=other", "data.micro_batch=3", "data.shuffle_window=1", "training.zero_stage=2", "optim.lr=1"),
        *("training.validate_every=3", "training.non_finite_limit=9", "model.kernels=torch", "model.dropout=0.3"),
    ],
)
def test_what_changes_a_number_is_another_run(override: str) -> None:
    other = load_config("demo", ["store=s", override])
    assert config_hash(other) != config_hash(PLAIN)
    assert mutable_changes(PLAIN, other) == {}
    assert not may_change(override.partition("=")[0])


@pytest.mark.parametrize("key", ["", "launch", "checkpoint", "checkpoint.", ".every_steps", "launchy.nodes", "workers"])
def test_a_name_that_is_not_a_setting_cannot_change(key: str) -> None:
    assert not may_change(key)


def test_the_first_setting_that_is_not_what_it_was_is_named() -> None:
    began = json.loads(json.dumps(immutable_settings(PLAIN)))
    assert first_change(began, PLAIN) is None
    moved = [
        "name=b",
        "data.shards=[elsewhere]",
        "model.text.path=elsewhere",
        "checkpoint.keep_last=9",
        "data.workers=7",
    ]
    assert first_change(began, load_config("demo", ["store=t", *moved])) is None
    for override, said in (
        ("optim.betas=[0.5, 0.6]", "optim.betas: the run began with [0.9, 0.98], not [0.5, 0.6]"),
        ("model.text.config={hidden_size: 8}", "model.text.config: the run began with {}, not {'hidden_size': 8}"),
        ("training.max_steps=3", "training.max_steps: the run began with None, not 3"),
    ):
        other = load_config(None, ["store=s", override])
        before = immutable_settings(load_config(None, ["store=s"]))
        assert (first_change(json.loads(json.dumps(before)), other) or "").startswith(said)
    assert first_change({}, PLAIN) is None  # a checkpoint of an earlier version


def test_the_settings_in_which_two_configurations_differ_are_named() -> None:
    one = load_config("demo", ["optim.lr=0.001"])
    other = load_config("demo", ["optim.lr=0.002", "launch.hours=3", "data.workers=1", "model.use_text=false"])
    assert differences(one, other) == ["model.use_text=true, not false", "optim.lr=0.001, not 0.002"]
    assert differences(one, one) == []
