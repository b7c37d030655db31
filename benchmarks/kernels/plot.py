"""The ratios as bars, one panel for time and one for memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Write `path` (SVG): ratio of each peer to ours, right of 1 where ours is better."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # not pyplot, which keeps every figure alive

    units = list(dict.fromkeys(row["unit"] for row in rows))
    height = 1 + 0.22 * max(sum(row["unit"] == unit for row in rows) for unit in units)
    figure = Figure(figsize=(9 * len(units), height))
    panels = figure.subplots(1, len(units), squeeze=False)
    for panel, unit in zip(panels[0], units, strict=True):
        chosen = [row for row in rows if row["unit"] == unit and "ratio" in row]
        labels = [f"{row['case']} | {row['peer_name']}" for row in chosen]
        colours = ["tab:green" if row["ratio"] >= 1 else "tab:red" for row in chosen]
        panel.barh(labels, [row["ratio"] for row in chosen], color=colours)
        panel.axvline(1, color="black", linewidth=1)
        panel.set_xscale("log")
        panel.invert_yaxis()
        panel.set_title(f"peer / ours, {unit}")
        panel.tick_params(labelsize=7)
    figure.tight_layout()
    with rc_context({"svg.fonttype": "none"}):  # text stays text: a tenth of the size
        figure.savefig(path, metadata={"Date": None})
