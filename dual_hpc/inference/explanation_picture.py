"""An explanation as a picture: each modality, the telling moments, the words, and sound against picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dual_hpc.inference.explanation import Explanation, WordShare, left_out, shapley
from dual_hpc.palette import COLOURS
from dual_hpc.picture import png
from dual_hpc.printable import picture_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 28  # characters of a word


def explanation_png(found: Explanation, title: str) -> bytes:
    """Bars of each modality, the loss by the middle of what was hidden, bars of each word, and one panel for each
    alignment matrix."""
    from matplotlib.figure import Figure

    panels = 2 + bool(found.words) + len(found.matrices)
    figure = Figure(figsize=(4.2 * panels, max(3.6, 1.6 + 0.22 * len(found.words))), layout="constrained")
    bars, curve, *grids = figure.subplots(1, panels, squeeze=False)[0]
    if found.words:
        _draw_words(grids.pop(0), found.words)
    figure.suptitle(picture_text(f"{title}: {found.label}"))
    shares = {"Shapley": shapley(found.subsets), "left out": left_out(found.subsets)}
    for number, (name, values) in enumerate(shares.items()):
        places = [place + 0.4 * number - 0.2 for place in range(len(values))]
        bars.bar(places, list(values.values()), width=0.38, label=name, color=COLOURS[number])
    bars.set_xticks(range(len(shares["Shapley"])), list(shares["Shapley"]))
    bars.set_ylabel("probability gained")
    bars.axhline(0.0, color="black", linewidth=0.6)
    bars.legend()
    curve.plot([(one.start + one.end) / 2 for one in found.moments], [one.loss for one in found.moments], marker=".")
    curve.axhline(0.0, color="black", linewidth=0.6)
    curve.set(xlabel="seconds hidden (middle)", ylabel="probability lost")
    limit = max([0.1, *(float(abs(matrix).max()) for matrix in found.matrices.values())])
    for axes, (name, matrix) in zip(grids, found.matrices.items(), strict=True):
        shown = axes.imshow(matrix, vmin=-limit, vmax=limit, cmap="RdBu_r", origin="lower")
        axes.set(title=name.replace("_", " "), xlabel="video step", ylabel="audio step")
        figure.colorbar(shown, ax=axes, shrink=0.8)
    return png(figure)


def _draw_words(axes: Axes, words: Sequence[WordShare]) -> None:
    """A row for each word, the first on top."""
    known = {
        "attention": [one.attention for one in words if one.attention is not None],
        "probability lost without": [one.loss for one in words if one.loss is not None],
    }
    rows = {name: values for name, values in known.items() if len(values) == len(words)}
    for number, (name, values) in enumerate(rows.items()):
        places = [place + 0.4 * number - 0.2 * (len(rows) - 1) for place in range(len(words))]
        axes.barh(places, values, height=0.38, label=name, color=COLOURS[2 + number])
    axes.set_yticks(range(len(words)), [picture_text(one.word)[:_LONGEST] for one in words], fontsize=8)
    axes.set_ylim(len(words) - 0.5, -0.5)
    axes.axvline(0.0, color="black", linewidth=0.6)
    if rows:
        axes.legend(fontsize=8)
