"""A figure as the bytes of a PNG or of a PDF."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 130


def png(figure: Figure) -> bytes:
    """Draw a figure; letters that the font lacks are boxes, and no reason to warn whoever reads a report."""
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    return drawn.getvalue()


def pdf(figure: Figure) -> bytes:
    """Draw a figure as a page of PDF, for a paper; the same bytes each time, as no date is written into it."""
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        figure.savefig(drawn, format="pdf", metadata={"CreationDate": None})
    return drawn.getvalue()
