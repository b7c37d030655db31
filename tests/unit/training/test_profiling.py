"""A living rank traces itself when a file asks for it: once, where it is named, and never at the training's cost."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from dual_hpc.run.names import PROFILE_FILE
from dual_hpc.run.profile_request import (
    ProfileRequest,
    planned_trace_file,
    read_request,
    trace_file,
    trace_folders,
    write_request,
)
from dual_hpc.training.loop import FINISHED
from dual_hpc.training.profiling import CHECK_SECONDS, StepProfiler, never_traced
from tests.unit.training.fakes import make_run
from tests.unit.training.test_loop import Job


def test_a_training_that_is_asked_writes_a_trace_of_its_steps(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    request = ProfileRequest(ranks=(0, 1), steps=2)
    write_request(run.path, request)
    assert Job(run).train() == FINISHED
    trace = json.loads(gzip.decompress(trace_file(run.path, request, 0).read_bytes()))
    names = [event.get("name", "") for event in trace["traceEvents"]]
    assert sum("Optimizer.step" in name for name in names) == 2
    assert any("Backward" in name for name in names)
    assert not trace_file(run.path, request, 1).exists()  # there is no such rank here
    assert [path.name for path in trace_file(run.path, request, 0).parent.iterdir()] == ["rank_0000.json.gz"]


def test_each_request_is_done_once_and_looked_for_now_and_then(tmp_path: Path) -> None:
    now = [0.0]
    mine, of_the_next_job = (StepProfiler(tmp_path, 0, clock=lambda: now[0]) for _ in range(2))

    def step(profiler: StepProfiler = mine) -> None:
        profiler.before_step(1)
        profiler.after_step()

    step()
    first = ProfileRequest(number=1, steps=1)
    write_request(tmp_path, first)
    step()
    assert not trace_file(tmp_path, first, 0).exists()  # it has just looked
    now[0] += CHECK_SECONDS
    step()
    written = trace_file(tmp_path, first, 0).stat().st_mtime_ns
    for profiler in (mine, of_the_next_job):
        now[0] += CHECK_SECONDS
        step(profiler)
    assert trace_file(tmp_path, first, 0).stat().st_mtime_ns == written
    second = ProfileRequest(number=2, steps=1)
    write_request(tmp_path, second)
    now[0] += CHECK_SECONDS
    step()
    assert trace_file(tmp_path, second, 0).exists()


def test_a_trace_that_cannot_be_written_costs_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = ProfileRequest(steps=1)
    write_request(tmp_path, request)
    (tmp_path / "profiles").write_text("a file where the folder should be")
    profiler = StepProfiler(tmp_path, 0)
    profiler.before_step(1)
    profiler.after_step()
    assert "WARNING: no profile of rank 0" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "[]", '{"steps": 0}', '{"ranks": "all"}'])
def test_what_is_no_request_asks_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / PROFILE_FILE).write_text(content)
    assert read_request(tmp_path) is None


def test_a_profiler_that_cannot_begin_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("another profiler is at work")

    monkeypatch.setattr("torch.profiler.profile", refuse)
    write_request(tmp_path, ProfileRequest(steps=1))
    profiler = StepProfiler(tmp_path, 0)
    profiler.before_step(1)
    profiler.after_step()
    assert "no profile of rank 0: another profiler is at work" in capsys.readouterr().err


def steps_in(trace: Path) -> int:
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    return sum("Optimizer.step" in event.get("name", "") for event in events)


def test_the_steps_that_the_settings_name_are_traced_on_the_ranks_that_they_name(tmp_path: Path) -> None:
    run, other = (
        make_run(tmp_path / name, "training.profile_steps=[2, 4]", f"training.profile_ranks={ranks}")
        for name, ranks in (("run", "[0, 3]"), ("other", "[1]"))
    )
    for one in (run, other):
        assert Job(one).train() == FINISHED
    assert steps_in(planned_trace_file(run.path, (2, 4), 0)) == 3
    assert trace_folders(other.path) == []


def test_a_job_that_ends_within_the_steps_writes_what_it_has_and_one_that_begins_there_traces_the_rest(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path / "run", "training.profile_steps=[2, 4]")
    profiler = StepProfiler(run.path, 0, (2, 4))
    profiler.before_step(2)
    profiler.after_step()
    profiler.close()
    first = planned_trace_file(run.path, (2, 4), 0)
    assert first.exists()
    first.unlink()
    late = StepProfiler(run.path, 0, (2, 4))
    late.before_step(4)
    late.after_step()
    assert first.exists()
    late.before_step(2)  # steps that are repeated: the trace is there
    late.after_step()
    assert trace_folders(run.path) == [first.parent]


@pytest.mark.parametrize("steps", ["[0, 3]", "[5, 4]", "[1, 1001]", "[3]", "three"])
def test_steps_that_cannot_be_traced_are_refused(tmp_path: Path, steps: str) -> None:
    with pytest.raises(UserError, match=r"training\.profile_steps"):
        make_run(tmp_path / "run", f"training.profile_steps={steps}")


@pytest.mark.parametrize(
    ("planned", "ranks", "step", "said"),
    [
        (None, [7], 0, ""),
        ((2, 4), [0, 1], 0, ""),
        ((40, 40), [0], 0, ""),
        ((41, 45), [0], 0, r"profile_steps=\[41, 45\]: no trace, the run ends at step 40"),
        ((39, 45), [0], 0, r"profile_steps=\[39, 45\]: the trace ends with the run, at step 40"),
        ((39, 45), [0], 20, ""),  # said when it began
        ((2, 4), [0, 2, 9], 0, r"profile_ranks: no trace of rank 2, 9, the ranks are 0 to 1"),
    ],
)
def test_a_trace_that_will_not_come_is_told_at_the_start(
    planned: tuple[int, int] | None, ranks: list[int], step: int, said: str
) -> None:
    found = never_traced(planned, ranks, step, total=40, size=2)
    assert re.search(said, found) and bool(found) == bool(said)
