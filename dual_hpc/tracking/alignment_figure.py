"""The alignment matrices of a few validation samples, over the epochs, as one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dual_hpc.printable import picture_text
from dual_hpc.run.alignment import AlignmentMatrices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS, _ROWS = 6, 8  # epochs, of more some at equal distances; samples and matrices


def alignment_figure(found: Sequence[AlignmentMatrices], title: str = "") -> Figure:
    """A row per sample and matrix, a column per epoch. Rows of a picture are the sound's steps, columns the video's: a
    bright diagonal says that both are alike at the same time.

    Args:
        found: by step.
    """
    from matplotlib.figure import Figure

    steps = chosen(sorted({one.step for one in found}))
    rows = list(dict.fromkeys((one.key, name) for one in found for name in one.matrices))[:_ROWS]
    at = {(one.step, one.key): one for one in found}
    figure = Figure(figsize=(1.9 * max(2, len(steps)) + 1.6, 1.9 * max(1, len(rows)) + 0.9), layout="constrained")
    figure.suptitle(picture_text(f"{title}: cosine of sound (down) and picture (across)"), fontsize=10)
    axes = figure.subplots(max(1, len(rows)), max(1, len(steps)), squeeze=False)
    cosines = (x for one in found for matrix in one.matrices.values() for line in matrix for x in line)
    limit = max([0.1, *map(abs, cosines)])
    drawn = None
    for row, (key, name) in enumerate(rows):
        for column, step in enumerate(steps):
            axis, one = axes[row, column], at.get((step, key))
            axis.set_xticks([])
            axis.set_yticks([])
            if one is None or name not in one.matrices:
                axis.set_visible(False)
                continue
            extent = (0, one.seconds, one.seconds, 0)
            drawn = axis.imshow(one.matrices[name], cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent)
            if row == 0:
                axis.set_title(f"epoch {one.epoch:.1f}", fontsize=9)
            if column == 0:
                axis.set_ylabel(f"{picture_text(key)[-24:]}\n{picture_text(name)}, {one.seconds:.1f} s", fontsize=7)
    if drawn is not None:
        figure.colorbar(drawn, ax=axes, shrink=0.6)
    return figure


def chosen(steps: Sequence[int]) -> list[int]:
    """The first and the last of these steps, and some between, at equal distances; at most as many as fit."""
    if len(steps) <= _COLUMNS:
        return list(steps)
    return [steps[round(n * (len(steps) - 1) / (_COLUMNS - 1))] for n in range(_COLUMNS)]
