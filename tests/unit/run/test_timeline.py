"""What a run's hours were used for, from its records: every kind of end, and that no second counts twice or never."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from dual_hpc.run.directory import Segment
from dual_hpc.run.goodput import Goodput, goodput
from dual_hpc.run.journal import Entry
from dual_hpc.run.timeline import KINDS, Slice, Submission, timeline
from launch.cluster.profiles import load_profile
from launch.records import submissions


class Story:
    """Writes the records of a run, as its jobs would; times in seconds after 1000."""

    def __init__(self, gpus: int = 4) -> None:
        self.gpus = gpus
        self.segments: list[Segment] = []
        self.history: list[Submission] = []
        self.entries: list[Entry] = []

    def submit(self, at: float, job: str, event: str = "submit", **more: Any) -> None:
        self.history.append(Submission(event=event, job_id=job, time=1000 + at, **more))

    def start(self, at: float, job: str, step: int = 0, allocated: float | None = None) -> None:
        given = None if allocated is None else 1000 + allocated
        self.segments.append(
            Segment(event="start", job_id=job, time=1000 + at, step=step, gpus=self.gpus, cores=16, allocated=given)
        )
        self.note(at, step, "start")

    def end(self, at: float, job: str, step: int, reason: str) -> None:
        self.note(at, step, "end")
        self.segments.append(Segment(event="end", job_id=job, time=1000 + at, step=step, reason=reason))

    def note(self, at: float, step: int, event: str | None = None, **metrics: float) -> None:
        named = {key.replace("_", "/", 1): value for key, value in metrics.items()}
        time_ms = round(1000 * (1000 + at))
        self.entries.append(Entry(time_ms, len(self.entries) + 1, step, named, event, {}))

    def slices(self, alive_at: float | None = None) -> list[Slice]:
        return timeline(self.segments, self.history, self.entries, None if alive_at is None else 1000 + alive_at)

    def seconds(self, alive_at: float | None = None) -> dict[str, float]:
        found = dict.fromkeys(KINDS, 0.0)
        for one in self.slices(alive_at):
            found[one.kind] += one.seconds
        return {kind: round(seconds, 3) for kind, seconds in found.items() if seconds}


def trained(story: Story, begin: float, first: int, last: int, per_step: float = 1.0) -> float:
    """Log every ten steps; returns when the last one was done."""
    for step in range(first + 10, last + 1, 10):
        story.note(begin + per_step * (step - first), step, train_loss=1.0)
    return begin + per_step * (last - first)


def test_a_run_of_one_job_queues_starts_up_steps_saves_and_validates() -> None:
    story = Story()
    story.submit(0, "7")
    story.start(150, "7", allocated=100)
    for step in (10, 20, 30):  # ten steps of a second each, a save of one and a validation of nine seconds
        story.note(150 + 2 * step, step, train_loss=1.0, train_save_stall=0.05, train_validation=0.45)
    story.note(215, 30, val_av_ua=0.5)
    story.note(218, 30, "checkpoint")
    story.end(220, "7", 30, "finished")
    expected = {"queue": 100.0, "startup": 50.0, "useful": 30.0, "saves": 3.0 + 5.0, "validation": 27.0 + 5.0}
    assert story.seconds() == expected


def test_what_begins_slowly_is_start_up() -> None:
    story = Story()
    story.submit(0, "7")
    story.start(10, "7", allocated=0)
    story.note(50, 10, train_loss=1.0)
    trained(story, 50, 10, 40)
    story.end(80, "7", 40, "finished")
    assert story.seconds() == {"startup": 10.0 + 30.0, "useful": 40.0}


def test_steps_that_a_killed_job_had_done_are_repeated_and_its_last_moments_are_lost() -> None:
    story = Story()
    story.submit(0, "7")
    story.start(0, "7", allocated=0)
    assert trained(story, 0, 0, 50) == 50
    story.submit(58, "7", "requeue")  # what it noticed of its failure, 8 s after the last line
    story.start(70, "7", step=30, allocated=68)
    assert trained(story, 70, 30, 80) == 120
    story.end(120, "7", 80, "finished")
    assert story.seconds() == {"useful": 50.0 + 30.0, "repeated": 20.0, "lost": 8.0, "queue": 10.0, "startup": 2.0}


def test_a_job_that_stops_between_two_lines_has_done_its_steps() -> None:
    story = Story()
    story.submit(0, "7")
    story.start(0, "7", allocated=0)
    trained(story, 0, 0, 20)
    story.note(25, 25, "stop")
    story.note(29, 25, "checkpoint")
    story.end(30, "7", 25, "stopped")
    story.submit(32, "7", "requeue")
    story.start(40, "7", step=25, allocated=40)
    story.note(45, 30, train_loss=1.0)
    trained(story, 45, 30, 50)
    story.end(65, "7", 50, "finished")
    assert story.seconds() == {"useful": 25.0 + 25.0, "saves": 5.0, "startup": 2.0, "queue": 8.0}


def test_the_time_between_a_stop_and_the_next_submission_is_nobodys() -> None:
    story = Story()
    story.submit(0, "7")
    story.start(0, "7", allocated=0)
    trained(story, 0, 0, 20)
    story.end(20, "7", 20, "stopped")
    story.submit(5000, "8")
    story.start(5010, "8", step=20, allocated=5010)
    trained(story, 5010, 20, 40)
    story.end(5030, "8", 40, "finished")
    assert story.seconds() == {"useful": 40.0, "queue": 10.0}


def test_a_job_that_failed_before_training_is_lost_and_so_is_one_that_never_logged_a_step() -> None:
    story = Story()
    story.submit(0, "7")
    story.submit(40, "8", "chain", allocated=1010.0)  # a bad node; written by 7
    story.start(60, "8", allocated=50)
    story.submit(90, "8", "requeue")
    story.start(100, "8", allocated=95)
    trained(story, 100, 0, 20)
    story.end(120, "8", 20, "finished")
    assert story.seconds() == {"queue": 10.0 + 10.0 + 5.0, "lost": 30.0 + 30.0, "startup": 10.0 + 5.0, "useful": 20.0}


def test_a_job_that_lives_has_used_its_time_until_now() -> None:
    story = Story()
    story.submit(0, "7")
    story.start(0, "7", allocated=0)
    trained(story, 0, 0, 20)
    assert story.seconds(alive_at=24) == {"useful": 24.0}
    assert story.seconds() == {"useful": 20.0}


def test_a_local_job_has_no_queue() -> None:
    """As `launch.records.submissions` writes it."""
    story = Story(gpus=0)
    written = submissions.Entry(event="submit", job_id="4711", time=1000.0, profile=load_profile("local"))
    story.history.append(Submission.model_validate_json(written.model_dump_json()))
    story.start(8, "4711")
    trained(story, 8, 0, 20)
    story.end(28, "4711", 20, "finished")
    assert story.seconds() == {"startup": 8.0, "useful": 20.0}
    found = goodput(story.slices())
    assert found.unit == "core-hours"
    assert (found.hours["startup"], found.hours["useful"]) == pytest.approx((16 * 8 / 3600, 16 * 20 / 3600))


def test_records_of_earlier_versions_say_how_many_ranks() -> None:
    segments = [
        Segment(event="start", job_id="1", time=0, world_size=2),
        Segment(event="end", job_id="1", time=10, step=5, reason="finished"),
    ]
    entries = [Entry(10_000, 1, 5, {"train/loss": 1.0}, None, {})]
    assert goodput(timeline(segments, [], entries)).hours["useful"] == pytest.approx(20 / 3600)


@pytest.mark.parametrize("seed", range(60))
def test_every_second_counts_once_and_the_shares_are_a_hundred(seed: int) -> None:
    rng = random.Random(seed)
    story = Story(gpus=rng.choice((0, 1, 4)))
    at, step, saved, held = 0.0, 0, 0, 0.0
    for number in range(rng.randint(1, 8)):
        job = str(number)
        story.submit(at, job, "submit" if number == 0 else "chain")
        allocated = at + rng.uniform(0, 500)
        at = allocated + rng.uniform(0, 100)
        story.start(at, job, step=saved, allocated=allocated)
        step = saved
        for _ in range(rng.randint(0, 6)):
            step, at = step + 10, at + rng.uniform(0.1, 60)
            save = rng.uniform(0, 0.6)
            story.note(at, step, train_loss=1.0, train_save_stall=save, train_validation=rng.uniform(0, 1 - save))
            if rng.random() < 0.4:
                at += rng.uniform(0, 5)
                saved = step
                story.note(at, step, "checkpoint")
            if rng.random() < 0.3:
                at += rng.uniform(0, 5)
                story.note(at, step, val_av_ua=0.1)
        if rng.random() < 0.5:
            at += rng.uniform(0, 30)
            saved = step
            story.note(at, step, "stop")
            story.end(at, job, step, rng.choice(("stopped", "failed")))
        held += at - allocated
    slices = story.slices()
    assert all(one.seconds > 0 for one in slices)
    assert all(a.end <= b.begin + 1e-6 for a, b in pairwise(slices)), "two at the same time"
    found = goodput(slices)
    units = story.gpus or 16
    assert found.held == pytest.approx(held * units / 3600, rel=1e-4, abs=1e-3)  # the journal counts milliseconds
    assert sum(found.shares().values()) == pytest.approx(100 if slices else 0)


def test_the_sentence_names_what_cost_most() -> None:
    hours = {**dict.fromkeys(KINDS, 0.0), "useful": 10.3, "startup": 1.1, "repeated": 0.6, "lost": 0.4, "queue": 3.1}
    assert Goodput(hours, "GPU-hours").sentence() == (
        "goodput 83%: of 12.4 GPU-hours 10.3 were useful steps, 1.1 start-up, 0.6 repeated steps, 0.4 lost to "
        "failures; 3.1 in the queue"
    )
    assert goodput([]).sentence() == "" and goodput([]).useful is None


@pytest.mark.parametrize("event", ["stop", "cancel", "submit"])
def test_a_command_that_is_given_after_the_end_of_a_job_makes_it_no_longer(event: str) -> None:
    story = Story()
    story.submit(0, "7")
    story.start(20, "7", allocated=10)
    trained(story, 20, 0, 40)
    story.end(60, "7", 40, "stopped")
    story.submit(63, "7", "leave", allocated=1010.0)  # the job itself, when it goes
    before = story.seconds()
    story.submit(300, "7", event)
    assert story.seconds() == before and sum(before.values()) == 63
