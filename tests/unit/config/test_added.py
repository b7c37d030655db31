"""A run that was written before a setting existed goes on as it began."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dual_hpc.config import load_config, save_config
from dual_hpc.config.added import BEFORE
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir

ADDED = sorted(BEFORE)


def forget(path: Path, section: str, key: str) -> None:
    tree = yaml.safe_load(path.read_text())
    del tree[section][key]
    path.write_text(yaml.safe_dump(tree))


@pytest.mark.parametrize(("section", "key"), ADDED)
def test_what_a_runs_file_lacks_means_what_the_code_then_did(tmp_path: Path, section: str, key: str) -> None:
    file = tmp_path / "config.yaml"
    new = load_config("iemocap4")
    save_config(new, file)
    forget(file, section, key)
    assert getattr(getattr(load_config(file), section), key) == BEFORE[section, key]
    assert getattr(getattr(new, section), key) != BEFORE[section, key]


@pytest.mark.parametrize(("section", "key"), ADDED)
def test_in_a_file_of_a_users_own_the_default_is_meant(tmp_path: Path, section: str, key: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ntraining: {epochs: 3}\ndata: {micro_batch: 2}\nmodel: {hidden_size: 64}\n")
    assert getattr(getattr(load_config(file), section), key) == getattr(getattr(load_config(), section), key)


@pytest.mark.parametrize(("section", "key"), ADDED)
def test_the_same_command_takes_up_such_a_run_and_adds_no_key(tmp_path: Path, section: str, key: str) -> None:
    config = load_config("iemocap4", [f"store={tmp_path}"])
    run = RunDir.create(tmp_path / "run", config)
    forget(run.config_file, section, key)
    before = run.config_file.read_bytes()
    again = RunDir.create(tmp_path / "run", config)
    again.take_settings(config)
    assert run.config_file.read_bytes() == before
    assert getattr(getattr(again.config(), section), key) == BEFORE[section, key]
    with pytest.raises(UserError, match="another configuration"):
        RunDir.create(tmp_path / "run", load_config("iemocap4", [f"store={tmp_path}", "optim.lr=1"]))
