"""The picture of a run's life: a row per job, every kind of time, saves and failures where they happened."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.picture import png
from dual_hpc.tracking.life import run_life
from tests.unit.run.test_timeline import Story, trained


def interrupted() -> Story:
    story = Story()
    story.submit(0, "7")
    story.start(150, "7", allocated=100)
    trained(story, 150, 0, 200, per_step=2.0)
    story.note(560, 200, "checkpoint")
    story.submit(600, "7", "requeue")
    story.submit(610, "8", "chain")
    story.start(800, "8", step=150, allocated=760)
    trained(story, 800, 150, 400, per_step=2.0)
    story.note(1310, 400, "checkpoint")
    story.end(1320, "8", 400, "finished")
    return story


def test_a_row_per_job_with_its_saves_and_its_failure(tmp_path: Path) -> None:
    story = interrupted()
    figure = run_life(story.slices(), story.entries, "trial-2")
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["job 7", "job 8"]
    marks = [line.get_marker() for line in axis.lines]
    assert marks.count("v") == 2 and marks.count("x") == 1
    assert axis.get_xlabel().startswith("minutes since")
    drawn = {patch.get_facecolor() for patch in axis.patches}
    assert len(drawn) == len({one.kind for one in story.slices()})
    assert png(figure).startswith(b"\x89PNG")


def test_a_run_without_jobs_and_one_of_very_many_can_be_drawn() -> None:
    assert png(run_life([], [], "empty")).startswith(b"\x89PNG")
    story = Story()
    for number in range(120):
        story.submit(100 * number, str(number))
        story.start(100 * number + 10, str(number), step=number, allocated=100 * number + 5)
        story.end(100 * number + 60, str(number), number + 1, "stopped")
    (axis,) = run_life(story.slices(), story.entries, "long").axes
    assert len(axis.get_yticks()) == 40
