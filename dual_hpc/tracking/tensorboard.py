"""A run's journal as TensorBoard's event files, in `tensorboard/` of the run: `tensorboard --logdir STORE/runs`."""

from __future__ import annotations

import shutil

from torch.utils.tensorboard import SummaryWriter

from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import points, read

FOLDER = "tensorboard"


class TensorBoardFiles:
    """Written again from the beginning of the journal, then followed: each step of a metric has one value."""

    def __init__(self, run: RunDir) -> None:
        self._journal, self._end = run.journal, 0
        shutil.rmtree(run.path / FOLDER, ignore_errors=True)
        self._writer = SummaryWriter(str(run.path / FOLDER), flush_secs=10)

    def update(self) -> None:
        """Write what is new; of a step that was repeated, the later value."""
        entries = read(self._journal, self._end)
        if not entries:
            return
        for point in {(point.key, point.step): point for point in points(entries)}.values():
            self._writer.add_scalar(point.key, point.value, point.step, walltime=point.time_ms / 1000)
        self._end = entries[-1].end
        self._writer.flush()

    def close(self) -> None:
        """Write everything to the disk."""
        self._writer.close()
