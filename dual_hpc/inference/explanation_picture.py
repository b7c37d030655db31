"""An explanation as a picture: the share of each modality, the telling moments, and sound against picture."""

from __future__ import annotations

from dual_hpc.inference.explanation import Explanation, left_out, shapley
from dual_hpc.palette import COLOURS
from dual_hpc.picture import png
from dual_hpc.printable import picture_text


def explanation_png(found: Explanation, title: str) -> bytes:
    """Bars of each modality, the loss by the middle of what was hidden, and one panel for each alignment matrix."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * (2 + len(found.matrices)), 3.6), layout="constrained")
    bars, curve, *grids = figure.subplots(1, 2 + len(found.matrices), squeeze=False)[0]
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
    for axes, (name, matrix) in zip(grids, found.matrices.items(), strict=True):
        shown = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", origin="lower")
        axes.set(title=name.replace("_", " "), xlabel="video step", ylabel="audio step")
        figure.colorbar(shown, ax=axes, shrink=0.8)
    return png(figure)
