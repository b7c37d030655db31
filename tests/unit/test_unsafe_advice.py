"""Errors of libraries are told without the way to turn their protection off."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from dual_hpc.errors import UserError, one_line
from dual_hpc.unsafe_advice import without_unsafe_advice

SWITCHES = ("weights_only", "allow_pickle", "trust_remote_code", "safe_globals", "set_int_max_str_digits", "trusted")


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def _torch(folder: Path) -> None:
    torch.save({"a": Runs()}, folder / "a.bin")
    torch.load(folder / "a.bin", weights_only=True)


def _numpy(folder: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.load(io.BytesIO(file.getvalue()), allow_pickle=False)


def _transformers(folder: Path) -> None:
    from transformers import AutoConfig

    (folder / "config.json").write_text(json.dumps({"model_type": "foreign", "auto_map": {"AutoConfig": "a.B"}}))
    AutoConfig.from_pretrained(folder, trust_remote_code=False)


def _digits(folder: Path) -> None:
    json.loads("1" * 5000)


@pytest.mark.parametrize("refuse", [_torch, _numpy, _transformers, _digits])
def test_what_a_library_advises_is_not_repeated(refuse: object, tmp_path: Path) -> None:
    with pytest.raises(Exception) as caught:
        refuse(tmp_path)  # type: ignore[operator]
    assert any(word in str(caught.value) for word in SWITCHES), "the library advises nothing any more: drop it here"
    for shown in (one_line(caught.value), str(UserError(f"model: {tmp_path}/a cannot be loaded ({caught.value})"))):
        assert not any(word in shown for word in SWITCHES), shown
    assert str(tmp_path) in shown and shown.count("(") == shown.count(")")


@pytest.mark.parametrize(
    "text",
    [
        "HTTPSConnectionPool: certificate verify failed. Pass verify=False to skip the check.",
        "Image size (999 pixels) exceeds limit of 9 pixels, set Image.MAX_IMAGE_PIXELS = None to lift it",
        "the model was saved with cloudpickle; set MLFLOW_ALLOW_PICKLE_DESERIALIZATION=true to load it",
        "fatal: unsafe repository: git config --global --add safe.directory /x",
        "Host key verification failed; use -o StrictHostKeyChecking=no",
        "cannot find the file in the cache. Set HF_HUB_OFFLINE=0 to download it.",
    ],
)
def test_other_protections_are_not_advised_away(text: str) -> None:
    shown = without_unsafe_advice(text)
    assert shown and shown != text
    for word in ("verify=False", "MAX_IMAGE", "ALLOW_PICKLE", "safe.directory", "StrictHost", "OFFLINE=0"):
        assert word not in shown


def test_other_words_and_names_of_files_stay() -> None:
    for text in ("/data/trust_remote_code/config.json is empty", "a run of somebody else: --trust runs it", "a: b (c)"):
        assert without_unsafe_advice(text) == text


def test_a_rank_can_send_an_error_to_another() -> None:
    error = UserError("a\x1b[0m is wrong")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a\\x1b[0m is wrong"
