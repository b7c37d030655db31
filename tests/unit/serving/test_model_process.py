"""The process with the model: ended where an answer takes too long, started again where a recording ends it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.serving.model_process import Abandoned, ModelProcess
from dual_hpc.serving.options import RequestOptions
from dual_hpc.serving.replies import Refusal
from dual_hpc.serving.worker import Job, ModelSource

SLOW = RequestOptions(window=0.5, hop=0.1)


def answer(model: ModelProcess, path: Path, seconds: float = 60.0, options: RequestOptions = SLOW) -> list[str]:
    lines: list[str] = []
    model.answer(Job(path, "a.mp4", options), time.monotonic() + seconds, threading.Event(), lines.append)
    return lines


def is_as_good_as_before(model: ModelProcess, clips: Path) -> bool:
    (line,) = answer(model, clips / "both.mp4", options=RequestOptions())
    return bool(json.loads(line)["input"] == "a.mp4")


def test_an_answer_that_takes_too_long_is_ended(model: ModelProcess, clips: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(Refusal) as refused:
        answer(model, clips / "minute.mp4", 0.5)
    assert refused.value.status == 504 and time.monotonic() - begin < 60
    assert is_as_good_as_before(model, clips)


def test_nobody_waits_any_more_and_the_answer_is_ended(model: ModelProcess, clips: Path) -> None:
    abandoned, lines = threading.Event(), []

    def tell(line: str) -> None:
        lines.append(line)
        abandoned.set()

    with pytest.raises(Abandoned):
        model.answer(Job(clips / "minute.mp4", "a.mp4", SLOW), time.monotonic() + 60, abandoned, tell)
    assert 1 <= len(lines) < 100
    assert is_as_good_as_before(model, clips)


def test_a_process_that_ends_at_a_recording_is_started_again(model: ModelProcess, clips: Path) -> None:
    before, process = model.restarts, model._process
    assert process is not None

    def tell(line: str) -> None:
        os.kill(process.pid or 0, signal.SIGSEGV)

    with pytest.raises(Refusal, match="SIGSEGV") as refused:
        model.answer(Job(clips / "minute.mp4", "a.mp4", SLOW), time.monotonic() + 60, threading.Event(), tell)
    assert refused.value.status == 500
    assert is_as_good_as_before(model, clips) and model.restarts == before + 1


def test_a_process_that_hears_nothing_is_killed(model: ModelProcess, clips: Path) -> None:
    """As one that hangs inside of a decoder."""
    process = model._process
    assert process is not None

    def tell(line: str) -> None:
        os.kill(process.pid or 0, signal.SIGSTOP)

    begin = time.monotonic()
    with pytest.raises(Refusal) as refused:
        model.answer(Job(clips / "minute.mp4", "a.mp4", SLOW), time.monotonic() + 2, threading.Event(), tell)
    assert refused.value.status == 504 and time.monotonic() - begin < 60 and not process.is_alive()
    assert is_as_good_as_before(model, clips)


def test_what_the_model_cannot_do_is_refused_at_the_start(saved_model: Path) -> None:
    process = ModelProcess(ModelSource(saved_model, "cpu", (), RequestOptions(unsure=0.2)))
    with pytest.raises(UserError, match="--unsure: this model's confidence was not measured"):
        process.start()


def test_a_model_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises((UserError, EnvironmentFault), match=str(tmp_path)):
        ModelProcess(ModelSource(tmp_path / "nothing", "cpu")).start()
