"""The figure of alignment matrices: a row per sample and matrix, a column per epoch."""

from __future__ import annotations

from dual_hpc.picture import png
from dual_hpc.run.alignment import AlignmentMatrices
from dual_hpc.tracking.alignment_figure import alignment_figure, chosen


def matrices(step: int, key: str) -> AlignmentMatrices:
    square = [[1.0, 0.0], [0.0, 1.0]]
    both = {"static": square, "dynamic": square}
    return AlignmentMatrices(step=step, epoch=step / 10, key=key, seconds=2.0, matrices=both)


def test_each_sample_and_matrix_has_a_row_and_each_epoch_a_column() -> None:
    figure = alignment_figure([matrices(step, key) for step in (10, 20, 30) for key in ("a", "b$_{")], "run $x^2")
    shown = [axis for axis in figure.axes if axis.images and axis.get_visible()]
    assert len(shown) == 3 * 4
    assert [axis.get_title() for axis in shown[:3]] == ["epoch 1.0", "epoch 2.0", "epoch 3.0"]
    assert png(figure)[:4] == b"\x89PNG"


def test_a_sample_that_an_epoch_lacks_leaves_a_gap() -> None:
    figure = alignment_figure([matrices(10, "a"), matrices(20, "b")])
    assert sum(axis.get_visible() and bool(axis.images) for axis in figure.axes) == 4


def test_of_many_epochs_the_first_the_last_and_some_between_are_drawn() -> None:
    assert chosen(list(range(1, 101))) == [1, 21, 41, 60, 80, 100]
    assert chosen([3, 4]) == [3, 4]
