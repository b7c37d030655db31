"""LaTeX that compiles: with TeX where it is installed, else by the rules that its rows and environments must obey."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dual_hpc.evaluation.comparison.comparison import compare
from dual_hpc.evaluation.comparison.latex import document, escape, latex_tables
from dual_hpc.evaluation.comparison.page import Section, notes, sections
from tests.unit.evaluation.comparison.test_comparison import WITH_TEXT, WITHOUT, model

FOREIGN = r"a_b & 50% $x$ #1 {c} ~ ^ \input{/etc/passwd} <|>"


def tables(name: str = FOREIGN) -> str:
    found = compare([model(name, WITH_TEXT), model("dual", WITHOUT)])
    return latex_tables(sections(found), notes(found), "comparison")


def problems(text: str) -> list[str]:
    """What TeX would refuse: environments that do not match, rows of another width, signs that were not escaped."""
    found, open_, columns = [], [], 0
    for line in (line for line in text.splitlines() if not line.startswith("%")):
        for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", line):
            if kind == "begin":
                open_.append(name)
            elif not open_ or open_.pop() != name:
                found.append(f"\\end{{{name}}} without its \\begin")
        if spec := re.search(r"\\begin\{tabular\}\{([lr]+)\}", line):
            columns = len(spec[1])
        if line.endswith(r"\\") and len(re.findall(r"(?<!\\)&", line)) != columns - 1:
            found.append(f"a row of another width: {line}")
        bare = re.sub(r"\\.", "", line)
        if line.endswith(r"\\") and re.search(r"[#$_^~%]", bare):
            found.append(f"a sign that is not escaped: {line}")
        if bare.count("{") != bare.count("}") and not line.startswith((r"\resizebox", r"\end{tabular}}")):
            found.append(f"braces that do not match: {line}")
    return found + [f"\\begin{{{name}}} without its \\end" for name in open_]


def test_the_tables_obey_the_rules_of_latex_and_booktabs() -> None:
    text = tables()
    assert problems(text) == []
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\begin{tabular}") >= 5
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"\textbackslash{}input\{/etc/passwd\}" in shown and r"\input{/etc" not in shown


@pytest.mark.parametrize("broken", [r"a & b & c \\", r"a_1 & b \\", r"\begin{center}", r"\end{table}", r"{a & b \\"])
def test_the_check_sees_what_is_broken(broken: str) -> None:
    good = latex_tables([Section("t", ["model", "x"], [["a", "1"]])], [], "t")
    assert problems(good) == [] and problems(good.replace(r"\bottomrule", f"{broken}\n\\bottomrule"))


def test_a_row_that_begins_with_a_bracket_is_no_argument_of_the_line_before() -> None:
    text = latex_tables([Section("t", ["model", "x"], [["[a]", "[1]"]])], [], "t")
    assert "{}[a] & {}[1]" in text


def test_an_escaped_text_has_no_sign_of_its_own() -> None:
    assert escape("a_b%") == r"a\_b\%" and escape("x\ny\x1b") == r"x y\textbackslash{}x1b"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX on this machine")
@pytest.mark.parametrize("name", [FOREIGN, "Größe злость 怒り Δ ≤ \u05e2\u05d1 😀"])
def test_tex_makes_a_page_of_them(name: str, tmp_path: Path) -> None:
    (tmp_path / "page.tex").write_text(document(tables(name)))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:].decode("latin-1")


def test_a_document_is_for_engines_with_letters_of_their_own_as_well() -> None:
    before, other = document("x\n").split(r"\else")
    assert r"\ifPDFTeX" in before and "inputenc" in before
    assert "fontspec" in other and "inputenc" not in other
