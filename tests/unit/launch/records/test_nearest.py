"""Which run was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.records.nearest import did_you_mean


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("trial-3", "trial-2"),
        ("Trial-2", "trial-2"),
        ("trail-2", "trial-2"),
        ("iemocap", "iemocap4.lr-0.001"),
        ("lr-0.001", "iemocap4.lr-0.001"),
        ("xyz", None),
        ("", None),
        ("trial-2.json", "trial-2"),
    ],
)
def test_the_nearest_name_is_told(name: str, meant: str | None, tmp_path: Path) -> None:
    for folder in ("runs/trial-2", "runs/iemocap4.lr-0.001", "sweeps/cv"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "runs" / "trial-2.json").touch()
    found = did_you_mean(name, [tmp_path / "runs", tmp_path / "sweeps", tmp_path / "jobs"])
    assert found == ("" if meant is None else f"; did you mean {meant}?")
