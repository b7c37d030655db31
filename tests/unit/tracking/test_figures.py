"""Training curves: drawn where they belong, without pyplot's global state."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib import pyplot

from dual_hpc.tracking.figures import panels, training_curves


def test_metrics_are_drawn_in_the_panel_of_their_kind() -> None:
    keys = [
        "train/loss",
        "train/loss_cls",
        "val/av/ua",
        "val/avt/macro_f1",
        "val/avt/wa",
        "train/lr",
        "samples_per_second",
    ]
    assert panels(keys) == [
        ("loss", ["train/loss", "train/loss_cls"]),
        ("score on validation", ["val/av/ua", "val/avt/macro_f1"]),
        ("learning rate", ["train/lr"]),
    ]


def test_a_curve_with_gaps_and_one_without_metrics_are_drawn(tmp_path: Path) -> None:
    for name, curves in {"odd": {"loss": {0: math.nan, 5: 1.0, 2: math.inf}}, "none": {}}.items():
        path = tmp_path / f"{name}.png"
        training_curves(curves, name).savefig(path)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_lines_are_the_values_in_order_of_steps() -> None:
    kept = pyplot.get_fignums()  # whoever drew before in this process
    figure = training_curves({"train/loss": {3: 1.0, 1: 3.0, 2: math.nan}})
    (line,) = figure.axes[0].lines
    assert np.asarray(line.get_xydata()).tolist() == [[1.0, 3.0], [3.0, 1.0]]
    assert pyplot.get_fignums() == kept, "pyplot keeps every figure until someone closes it"
