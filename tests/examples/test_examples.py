"""Every example does what it says, on a few synthetic clips."""

from __future__ import annotations

import csv
from pathlib import Path


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
