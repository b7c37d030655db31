"""Tables as LaTeX, with the rules of the package booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from dual_hpc.evaluation.comparison.page import Section
from dual_hpc.printable import printable

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; letters beyond Latin need a font that has them."""
    return "".join(_SIGNS.get(sign, sign) for sign in printable(text))


def latex_tables(sections: Sequence[Section], notes: Sequence[str], label: str) -> str:
    r"""One `table` per section, to `\input` into a paper that loads booktabs and graphicx.

    Args:
        label: of the first table, `tab:LABEL-1`.
    """
    lines = [r"% Needs \usepackage{booktabs,graphicx} in the preamble."]
    lines += [f"% {printable(note)}" for note in notes]
    for number, section in enumerate(sections, 1):
        words = sum(1 for heading in section.headings if heading in ("model", "measure"))
        columns = "l" * words + "r" * (len(section.headings) - words)
        lines += [
            "",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(section.title)}}}",
            rf"\label{{tab:{label}-{number}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _row(section.headings),
            r"\midrule",
            *(_row(row) for row in section.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
    return "\n".join(lines) + "\n"


def document(body: str) -> str:
    """A whole document around tables, to look at them.

    pdfLaTeX prints letters that its fonts lack as their numbers ("[U+6012]"), where it would stop otherwise; LuaLaTeX
    and XeLaTeX print those that the chosen font has.
    """
    return rf"""\documentclass{{article}}
\usepackage{{iftex,booktabs,graphicx}}
\ifPDFTeX
  \usepackage[T1]{{fontenc}}
  \usepackage[utf8]{{inputenc}}
  \makeatletter
  \def\UTFviii@undefined@err#1{{\expandafter\numbered\string#1\relax}}
  \def\numbered#1:#2\relax{{[U+\UTFviii@hexcodepoint{{\the\numexpr\decode@UTFviii#2\relax}}]}}
  \makeatother
\else
  \usepackage{{fontspec}} % for letters beyond Latin: \setmainfont{{a font that has them}}
\fi
\begin{{document}}
{body}\end{{document}}
"""


def _row(cells: Sequence[str]) -> str:
    # A row that begins with a bracket would be taken for an argument of the line break before it.
    return " & ".join(f"{{}}{escape(cell)}" if cell.startswith("[") else escape(cell) for cell in cells) + r" \\"
