"""Tables on narrow terminals: a name is never cut, and what does not fit is left out whole."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.table import Table

from launch.cli import terminal
from launch.cli.runs import table_of_runs
from launch.cluster.state import State
from tests.unit.launch.cli.test_runs_selection import row


def rows(name: str) -> list[Any]:
    more: dict[str, Any] = {
        "total": 4000, "loss": 0.51234, "ua_av": 0.6, "ua_avt": 0.7, "best": 0.643, "best_step": 100, "test_ua": 0.65,
        "test_ua_interval": (0.612, 0.671), "job_id": "123456", "slurm_state": "RUNNING", "age_seconds": 12.0,
        "goodput": 0.83, "epoch": 3.2, "epochs": 20.0, "seconds_left": 5000.0, "elapsed_seconds": 300.0,
    }  # fmt: skip
    return [row(name, State.RUNNING, **more), row("b", State.QUEUED), row("c", State.FINISHED, **more)]


def printed(table: Table, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr(terminal, "terminal_width", lambda: width)
    terminal.print_table(table)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("name", ["trial-2", "iemocap4.lr-0.0003.fold-3.seed-12", "感情" * 10, "x" * 64])
def test_the_rows_of_runs_fit_and_their_names_are_whole(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(table_of_runs(rows(name), width), width, monkeypatch)
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    assert not any("…" in line for line in lines)
    joined = "".join(line.split("  ")[0] for line in lines[1:])
    assert name in joined or name in "".join("".join(lines).split())
    if cell_len(name) < width - 20:
        assert len(lines) == 4


def test_at_eighty_columns_the_most_important_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(table_of_runs(rows("cv.fold-3"), 80), 80, monkeypatch)
    assert lines[0].split("  ")[0] == "run" and "best, %" in lines[0] and "test UA, %" in lines[0]
    assert "64.3" in lines[1] and "65.0 [61.2, 67.1]" in lines[1] and "0.6" not in lines[1]
    wide = printed(table_of_runs(rows("cv.fold-3"), 200), 200, monkeypatch)
    assert "goodput" in wide[0] and "83%" in wide[1] and "83 min" in wide[1]


def test_a_job_that_is_asked_to_stop_says_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    found = row("a", State.RUNNING, stop_asked_seconds=14.2)
    assert found.state_text == "running, asked to stop 14 s ago"
    assert "running, asked to stop 14 s ago" in printed(table_of_runs([found], 80), 80, monkeypatch)[1]


def test_columns_without_content_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    (heading, _) = printed(table_of_runs([row("a", State.NOT_SUBMITTED)], 200), 200, monkeypatch)
    assert heading.split() == ["run", "state", "step", "segments"]


def test_another_score_that_selects_is_named() -> None:
    assert row("a", State.RUNNING, best=0.5, selects="val/avt/wa").best_text == "WA {A,V,T} 50.0 %"
    assert row("a", State.RUNNING, best=0.5).best_text == "50.0" and row("a", State.RUNNING).best_text == ""
