"""Draw `docs/architecture.svg`, the data flow of DUAL: run it again after a change of the model."""

from __future__ import annotations

from pathlib import Path

AUDIO, VIDEO, TEXT, JOINT = "#2f6f8f", "#8a5a2b", "#5d7d3a", "#44475a"


def box(x: int, y: int, w: int, h: int, colour: str, title: str, note: str = "") -> str:
    """A rounded box with a title and, below it, one small line."""
    middle = x + w / 2
    lift = -6 if note else 5
    parts = [
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="9" fill="{colour}" fill-opacity=".12" '
        f'stroke="{colour}" stroke-width="1.6"/>',
        f'<text x="{middle}" y="{y + h / 2 + lift}" class="t" fill="{colour}">{title}</text>',
    ]
    if note:
        parts.append(f'<text x="{middle}" y="{y + h / 2 + 13}" class="n">{note}</text>')
    return "\n".join(parts)


def arrow(points: list[tuple[int, int]], label: str = "", dashed: bool = False, colour: str = "#333") -> str:
    """A poly-line with a head; the label stands over its first segment's middle."""
    path = " ".join(f"{'M' if i == 0 else 'L'}{x},{y}" for i, (x, y) in enumerate(points))
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    out = f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash} marker-end="url(#head)"/>'
    if label:
        (x0, y0), (x1, y1) = points[0], points[1]
        out += f'\n<text x="{(x0 + x1) / 2}" y="{(y0 + y1) / 2 - 7}" class="n">{label}</text>'
    return out


def draw() -> str:
    """The whole figure as SVG text."""
    rows = {"a": 40, "v": 190, "t": 340}
    body = [
        box(20, rows["a"], 130, 56, AUDIO, "audio encoder", "wav2vec 2.0 / log-mel"),
        box(20, rows["v"], 130, 56, VIDEO, "visual encoder", "ResNet-50 / small"),
        box(20, rows["t"], 130, 56, TEXT, "text encoder", "BERT / small"),
        box(210, rows["a"], 130, 206, JOINT, "nonlinear", ""),
        f'<text x="275" y="{rows["a"] + 122}" class="t" fill="{JOINT}">alignment</text>',
        f'<text x="275" y="{rows["a"] + 142}" class="n">one space, one grid</text>',
        box(415, rows["a"], 122, 56, AUDIO, "SDM", "gates see f(t−1), f(t)"),
        box(415, rows["v"], 122, 56, VIDEO, "VDM", "f(t+1) - f(t)"),
        box(610, rows["a"], 130, 206, JOINT, "Sentiment", ""),
        f'<text x="675" y="{rows["a"] + 122}" class="t" fill="{JOINT}">Residual</text>',
        f'<text x="675" y="{rows["a"] + 142}" class="n">crossed at every layer</text>',
        box(810, 115, 120, 56, JOINT, "decoder", "text enters only here"),
        arrow([(150, rows["a"] + 28), (210, rows["a"] + 28)]),
        arrow([(150, rows["v"] + 28), (210, rows["v"] + 28)]),
        arrow([(340, rows["a"] + 28), (415, rows["a"] + 28)], "Fᵃ"),
        arrow([(340, rows["v"] + 28), (415, rows["v"] + 28)], "Fᵛ"),
        arrow([(537, rows["a"] + 28), (610, rows["a"] + 28)], "[Fᵃ; Δᵃ]"),
        arrow([(537, rows["v"] + 28), (610, rows["v"] + 28)], "[Fᵛ; Δᵛ]"),
        arrow([(740, 143), (810, 143)], "Z"),
        arrow([(930, 143), (985, 143)], "logits"),
        arrow(
            [(150, rows["t"] + 28), (870, rows["t"] + 28), (870, 171)],
            "Fᵗ, or one learned null token when there is no text",
        ),
        arrow([(380, rows["a"] + 40), (380, rows["v"] + 3)], "", True, "#999"),
        arrow([(570, rows["a"] + 40), (570, rows["v"] + 3)], "", True, "#999"),
        '<text x="380" y="146" class="n" paint-order="stroke" stroke="#fff" stroke-width="5">L_static</text>',
        '<text x="570" y="146" class="n" paint-order="stroke" stroke="#fff" stroke-width="5">L_dynamic</text>',
    ]
    style = ".t{font:600 14px sans-serif;text-anchor:middle}.n{font:11px sans-serif;text-anchor:middle;fill:#444}"
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 420" width="1000" height="420">',
            f"<style>{style}</style><defs>{head}<path d='M0,0L8,4L0,8z' fill='#333'/></marker></defs>",
            '<rect width="1000" height="420" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    Path(__file__).with_name("architecture.svg").write_text(draw(), encoding="utf-8")
