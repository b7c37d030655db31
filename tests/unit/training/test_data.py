"""What a run trains on: the tokenizer that its first job writes."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault
from dual_hpc.model import build_tokenizer, load_tokenizer
from dual_hpc.training.data import _save


def test_a_tokenizer_that_the_disk_does_not_take_is_the_environments_fault_and_is_written_later(tmp_path: Path) -> None:
    tokenizer, folder = build_tokenizer(["so it goes", "so it goes"]), tmp_path / "tokenizer"
    folder.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(EnvironmentFault, match=f"{folder} cannot be written"):
            _save(tokenizer, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(folder.iterdir())
    _save(tokenizer, folder)
    assert load_tokenizer(folder)("so").input_ids == tokenizer("so").input_ids
