"""Arrays that somebody else made, in every kind of file, are packed, trained on and answered; a pickle is refused."""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from launch.cli.main import main

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
FORMS = ("npy", "npz", "pt", *(["h5"] if importlib.util.find_spec("h5py") else []))
ROWS = 12


def write_array(path: Path, array: np.ndarray) -> str:
    """Write it as the name's ending says; what the table's cell names."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez_compressed(path, more=np.zeros(3), found=array)
        return f"{path.name}#found"
    elif path.suffix == ".pt":
        torch.save(torch.from_numpy(array), path)
    else:
        import h5py

        with h5py.File(path, "w") as file:
            file["of/this"] = array
        return f"{path.name}#of/this"
    return path.name


def table_of_all_forms(folder: Path) -> Path:
    """Sound, pictures and words of each utterance in files of another form than its neighbour's."""
    random, lines = np.random.default_rng(0), ["id,audio,video,words,label,split"]
    for number in range(ROWS):
        widths = {"audio": (50, 8), "video": (5, 4), "words": (3 + number % 3, 6)}
        cells = []
        for place, (name, shape) in enumerate(widths.items()):
            form = FORMS[(number + place) % len(FORMS)]
            cells.append(write_array(folder / f"u{number}.{name}.{form}", random.standard_normal(shape)))
        split = ("train", "train", "validation", "test")[number % 4]
        lines.append(f"u{number},{','.join(cells)},{'ab'[number // 4 % 2]},{split}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


def test_foreign_features_are_packed_trained_and_answered(
    make_run: Callable[..., RunDir],
    start_ranks: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, shards = table_of_all_forms(tmp_path), tmp_path / "shards"
    said = ["--array", "audio=8@50", "--array", "video=4@5", "--array", "words=6"]
    assert main(["pack", "features", str(source), "--out", str(shards), *said]) == 0
    settings = [f"data.shards=[{shards}]", "data.global_batch=6", "training.max_steps=2"]
    run = make_run("foreign", *settings)
    start_ranks("train", 1, run.path).check()
    assert list(replay(read(run.journal))["train/loss"]) == [1, 2]
    capsys.readouterr()
    assert main(["predict", "--model", str(run.path), "--input", str(shards)]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(row["input"] for row in found) == sorted(f"u{number}" for number in range(ROWS))
    assert all(row["modalities"] == ["audio", "video", "text"] for row in found)

    (tmp_path / "u3.audio.pkl").write_bytes(pickle.dumps(np.zeros((50, 8))))
    lines = source.read_text().splitlines()
    key, _, rest = lines[4].split(",", 2)
    source.write_text("\n".join([*lines[:4], f"{key},u3.audio.pkl,{rest}", *lines[5:]]) + "\n")
    assert main(["pack", "features", str(source), "--out", str(tmp_path / "other"), *said]) == 2
    assert "u3.audio.pkl: a pickle, which may run any code" in capsys.readouterr().err
