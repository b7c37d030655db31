"""Progress of long work, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from dual_hpc import progress
from dual_hpc.progress import ProgressDisplay


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_elsewhere_than_on_a_terminal_a_line_now_and_then_says_how_far_it_is(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressDisplay("packing", 200, done=40) as display:
        for second in range(1, 41):
            clock[0] = float(second)
            display.advance(2)
    assert capsys.readouterr().err == "packing: 72/200, 2.0/s, 64 s left\npacking: 104/200, 2.0/s, 48 s left\n"


def test_the_total_may_be_known_later_and_a_text_says_more(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressDisplay("train") as display:
        for second, total in ((20.0, None), (40.0, 80)):
            clock[0] = second
            display.update(int(second), total, "loss 0.500")
        display.say("saving and stopping")
    assert capsys.readouterr().err == (
        "train: 20/?, 1.0/s  loss 0.500\ntrain: 40/80, 1.0/s, 40 s left  loss 0.500\nsaving and stopping\n"
    )


def test_before_the_work_has_begun_a_line_says_so_and_no_rate(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressDisplay("train") as display:
        for second, done, total in ((20.0, 0, None), (200.0, 0, None), (220.0, 0, 80), (240.0, 10, 80)):
            clock[0] = second
            display.update(done, total)
    said = capsys.readouterr().err
    assert said == "train: starting, 20 s so far\ntrain: starting, 3 min so far\ntrain: 0/80\n" + (
        "train: 10/80, 0.5/s, 2 min left\n"  # of the last 20 s: starting belongs to no rate
    )


def test_what_was_done_before_is_no_part_of_the_rate(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay("train", 400, done=254) as display:
        for second, done in ((20.0, 254), (40.0, 250), (60.0, 260)):  # it goes on from a checkpoint of step 250
            clock[0] = second
            display.update(done, 400)
    assert capsys.readouterr().err == "train: 254/400\ntrain: 250/400\ntrain: 260/400, 0.5/s, 5 min left\n"


def test_it_counts_to_the_total_and_not_beyond(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay("verifying", 3, shown=False) as display:
        for _ in range(5):
            display.advance(1)
    assert display.done == 3 and capsys.readouterr().err == ""


def test_on_a_terminal_it_is_a_bar_with_the_words_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with ProgressDisplay("train", 40) as display:
        display.update(12, 40, "loss [b]0.5[/b]")
        display.say("saving [/x] and stopping")
    shown = terminal.getvalue()
    assert "12/40" in shown and "saving [/x] and stopping" in shown and "loss [b]0.5[/b]" in shown
