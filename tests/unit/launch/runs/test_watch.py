"""What `watch` shows: the view of a growing run, screens that fit any terminal, lines where there is none, and keys."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from fcntl import ioctl
from pathlib import Path

import pytest
from rich.cells import cell_len

from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from launch.cli.main import main
from launch.cluster.state import State
from launch.runs.screen_lines import fit
from launch.runs.status import RunStatus
from launch.runs.summary import summarize
from launch.runs.watch import Event, RunWatcher, View
from launch.runs.watch_screen import plain_line, run_screen, sparkline, sweep_screen
from tests.unit.training.fakes import make_run

ESCAPE = "\x1b[2J"  # somebody's log may hold what clears the screen


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    found = make_run(tmp_path / "runs" / "trial-2")
    found.append_segment(Segment(event="start", job_id="7", world_size=3, gpus=3, cores=6, time=time.time() - 60))
    for rank in range(3):
        (found.logs / f"rank_{rank:04d}.log").write_text(f"beginning: job 7\nhere is rank {rank} {ESCAPE}\n")
    system = found.path / "system"
    system.mkdir()
    with Journal(system / "n1.jsonl") as node:
        node.metrics(0, {"system/n1/gpu_0_utilization_percentage": 97, "system/n1/cpu_utilization_percentage": 41})
    with Journal(found.journal) as journal:
        journal.event("start", 0, total_steps=400)
        for step in range(10, 130, 10):
            values = {"train/loss": 2.0 - step / 100, "train/data_wait": 0.03, "ranks/data_wait_worst": 0.4}
            journal.metrics(step, values, time_ms=1000 * step)
        journal.event("checkpoint", 120, folder="step_00000120", seconds=1.5)
        journal.event("bottleneck", 120, cause="slow rank", message="rank 2 (n1) is 31% slower in backward")
    return found


def test_a_view_grows_with_its_run_and_repeated_steps_spoil_no_speed(run: RunDir) -> None:
    watcher = RunWatcher(run)
    view = watcher.look(rank=2)
    assert (view.step, view.total, view.step_seconds) == (120, 400, 1.0)
    assert view.losses[-1] == pytest.approx(0.8) and view.ranks == [0, 1, 2] and "rank 2" in view.log[-1]
    assert view.nodes == {"n1": {"gpu_0_utilization_percentage": 97, "cpu_utilization_percentage": 41}}
    assert [event.text.split()[0] for event in view.events] == ["start", "checkpoint", "bottleneck:"]
    with Journal(run.journal) as journal:  # the next job begins at an earlier checkpoint
        for step in (100, 110):
            journal.metrics(step, {"train/loss": 1.0}, time_ms=1000 * (500 + 2 * step))
    assert watcher.look(rank=9).step_seconds == 2.0 and watcher.look(rank=9).rank == 2


@pytest.mark.parametrize("height", [3, 5, 10, 24, 60])
@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_screen_fits_its_terminal(run: RunDir, width: int, height: int) -> None:
    lines = run_screen(RunWatcher(run).look(), width, height)
    assert len(lines) <= height and all(cell_len(line) <= width for line in lines)
    assert lines[0].startswith("trial-2") and lines[-1].startswith("q: leave")
    assert not any("\x1b" in line for line in lines)


def test_a_screen_of_80_by_24_shows_everything_that_matters(run: RunDir) -> None:
    shown = "\n".join(run_screen(RunWatcher(run).look(rank=1), 80, 24))
    for words in ("step 120/400", "loss 0.8", "data_wait 3%", "worst data_wait 40%", "rank 2 (n1) is 31% slower",
                  "GPU 97 %", "step 120  checkpoint folder=step_00000120 seconds=1.5", "log of rank 1 (of 0 to 2)",
                  "here is rank 1"):  # fmt: skip
        assert words in shown, words


def test_very_long_logs_leave_room_for_events_and_the_other_way_round() -> None:
    events = [Event(0.0, step, f"event {step}") for step in range(50)]
    crowded = run_screen(View("a", State.RUNNING, events=events, log=["line"] * 200, ranks=[0]), 80, 24)
    assert (
        sum("event " in line for line in crowded) >= 5
        and sum(line == "line" or "line" in line for line in crowded) > 10
    )
    alone = run_screen(View("a", State.RUNNING, events=events), 80, 24)
    assert sum("event " in line for line in alone) >= 18


def test_letters_that_take_two_columns_and_curves_with_nan_are_drawn() -> None:
    assert cell_len(fit("感情認識" * 30, 21)) <= 21
    assert sparkline([1.0, float("nan"), 2.0, float("inf")], 10) == "▁ █ "
    assert sparkline([], 10) == "" and sparkline([3.0, 3.0], 10) == "▁▁"


def test_the_members_of_a_sweep_stand_in_columns_and_scroll(run: RunDir) -> None:
    row = summarize(run, RunStatus(State.RUNNING, "7", None, True, True), time.time())
    rows = [replace(row, name=f"cv.{'x' * number}", step=number) for number in range(40)]
    lines = sweep_screen("cv", rows, 5, 120, 24, 0.0)
    assert len(lines) == 24 and lines[0] == "sweep cv: 40 members, 40 running"
    end = lines[1].index("state") + len("state")
    assert all(line[:end].endswith(" running") for line in lines[2:-1])
    assert lines[2].startswith("cv.xxxxx ") and lines[-1].startswith("q: leave")


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_narrow_terminal_shows_the_end_of_long_names_and_the_columns_that_matter_most(
    run: RunDir, width: int
) -> None:
    row = summarize(run, RunStatus(State.RUNNING, "7", None, True, True), time.time())
    rows = [replace(row, name=f"cv-of-all-encoders.fold_{number}.seed_{number}.encoder_wavlm") for number in range(9)]
    lines = sweep_screen("cv", rows, 0, width, 24, 0.0)
    assert all(cell_len(line) <= width for line in lines)
    for word in ("member", "state", "step", "best, %", "loss", *(("UA{A,V,T}",) if width == 200 else ())):
        assert word in lines[1], (word, lines[1])
    assert all(f"seed_{number}.encoder_wavlm" in line for number, line in enumerate(lines[2:-1]))


def test_at_80_columns_a_long_sentence_and_many_figures_go_on_in_the_next_line_and_lose_nothing(run: RunDir) -> None:
    sentence = (
        "input-bound: 64% of the step waits for data on every rank; raise data.workers (2 of 24 cores used) or extract"
    )
    values = {name: 0.123456 for name in ("loss", "samples_per_second", "lr", "grad_norm", "device_memory_gb")}
    metrics = {f"train/{name}": value for name, value in values.items()}
    view = View("a-run-with-quite-a-long-name", State.RUNNING, True, 7, 900, metrics=metrics, bottleneck=sentence,
                step_seconds=9.0)  # fmt: skip
    lines = run_screen(view, 80, 24)
    assert all(cell_len(line) <= 80 and "…" not in line for line in lines)
    shown = " ".join(" ".join(lines).split())
    assert sentence in shown and "GPU GB 0.1" in shown and "left, validations aside" in shown


def test_without_a_terminal_it_prints_lines_until_no_job_works(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(run.path), "--every", "0.05"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "trial-2" in line and "step 120/400" in line and "loss 0.8" in line and "data wait 3%" in line
    assert plain_line(View("b", State.QUEUED)).endswith("b queued step 0/?")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60)])
def test_on_a_terminal_n_shows_the_next_rank_and_q_leaves(run: RunDir, width: int, height: int) -> None:
    main_end, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    before = termios.tcgetattr(terminal)
    words = [sys.executable, "-m", "launch.cli.main", "watch", str(run.path), "--every", "0.2"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(width), "LINES": str(height)}
    process = subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    try:
        read_until(main_end, b"here is rank 0")
        os.write(main_end, b"n")
        read_until(main_end, b"log of rank 1")
        os.write(main_end, b"q")
        read_until(main_end, b"\x1b[?1049l")  # the screen from before
        assert process.wait(30) == 0
        assert termios.tcgetattr(terminal)[3] == before[3]  # the terminal shows what is typed again
    finally:
        process.kill()
        process.wait()
        os.close(main_end)
        os.close(terminal)


def read_until(descriptor: int, words: bytes) -> None:
    seen, deadline = b"", time.monotonic() + 60
    while words not in seen:
        assert time.monotonic() < deadline, seen[-3000:]
        if select.select([descriptor], [], [], 1.0)[0]:
            seen += os.read(descriptor, 1 << 16)
