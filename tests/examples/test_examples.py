"""Every example does what it says, on a few synthetic clips."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, run_example

# As in the notebook, so that the run of compare_models.py is the one that it opens.
SMALL = ("training.epochs=2", "launch.ranks_per_node=1", "data.image_size=32", "data.max_seconds=3")
CELLS = """
import json, sys
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), globals())
"""


def test_clips_are_described_by_a_csv_file(workspace: Path) -> None:
    with open(workspace / "clips" / "clips.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 28
    assert all((workspace / "clips" / row["video"]).is_file() and row["label"] for row in rows)
    assert {row["split"] for row in rows} == {"train", "dev", "test"}


def test_a_csv_file_becomes_shards(packed: tuple[Path, str]) -> None:
    workspace, said = packed
    assert said.startswith("packed 28 of 28 utterances")
    assert (workspace / "shards" / "clips" / "index.json").is_file()
    assert (workspace / "shards" / "clips" / "contact_sheet.png").is_file()


@pytest.fixture(scope="session")
def compared(packed: tuple[Path, str]) -> tuple[Path, str]:
    """The folder with the runs of `compare_models.py`, and what it printed."""
    workspace, _ = packed
    return workspace, run_example(workspace, EXAMPLES / "compare_models.py", "shards/clips", *SMALL)


@pytest.mark.distributed
def test_two_models_are_compared(compared: tuple[Path, str]) -> None:
    workspace, said = compared
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()[1:]}
    assert set(rows) == {"dual", "late_fusion"}
    assert all(0 <= float(score) <= 100 for scores in rows.values() for score in scores)
    saved = json.loads((workspace / "store/runs/late_fusion/export/best/config.json").read_text(encoding="utf-8"))
    assert saved["model_type"] == "late_fusion"


@pytest.mark.distributed
def test_the_notebook_runs_from_its_first_cell_to_its_last(compared: tuple[Path, str]) -> None:
    workspace, _ = compared
    said = run_example(workspace, "-c", CELLS, EXAMPLES / "first_look.ipynb")
    assert "always the most frequent class" in said
    assert said.count("answered") == 3


def test_the_notebook_is_kept_without_output() -> None:
    cells = json.loads((EXAMPLES / "first_look.ipynb").read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if "outputs" in cell)


@pytest.mark.distributed
def test_a_trained_model_learns_in_ones_own_loop(compared: tuple[Path, str]) -> None:
    workspace, _ = compared
    said = run_example(workspace, EXAMPLES / "own_loop.py", "store/runs/dual/export/best", "shards/clips", "adapted")
    losses = [float(line.split()[-1]) for line in said.splitlines() if line.startswith("epoch")]
    assert len(losses) == 3 and losses[-1] < losses[0]
    assert (workspace / "adapted" / "model.safetensors").is_file()


@pytest.mark.distributed
def test_an_encoder_of_ones_own_is_trained_and_saved(packed: tuple[Path, str]) -> None:
    workspace, _ = packed
    said = run_example(workspace, EXAMPLES / "own_encoder.py", "shards/clips", *SMALL)
    assert "'kind': 'loudness'" in said and "'width': 24" in said
    assert "mylab.emotion" in said.splitlines()[1]
