"""A run's journal as an offline run of Weights & Biases, in `wandb/` of the run.

Nothing is sent from here: `wandb sync RUN/wandb/offline-*` does that. The id is the run's own, so that sending it again
replaces what was sent.
"""

from __future__ import annotations

import shutil

import wandb

from dual_hpc.credentials import without_secrets
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import points, read
from dual_hpc.tracking.mlflow_format import flatten

FOLDER = "wandb"
_STEP = "step"


class WandbOffline:
    """Written again from the beginning of the journal, then followed."""

    def __init__(self, run: RunDir) -> None:
        self._journal, self._end = run.journal, 0
        config, identity = run.config(), run.identity()
        shutil.rmtree(run.path / FOLDER, ignore_errors=True)
        settings = {key: without_secrets(value) for key, value in flatten(config.model_dump(mode="json")).items()}
        self._run = wandb.init(
            mode="offline",
            dir=str(run.path),
            project=config.tracking.experiment,
            id=identity.run_id,
            name=identity.name,
            config=settings,
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True, x_disable_meta=True),
        )
        self._run.define_metric(_STEP)
        self._run.define_metric("*", step_metric=_STEP)

    def update(self) -> None:
        """Write what is new, a line of it for each step; of a step that was repeated, the later value."""
        entries = read(self._journal, self._end)
        if not entries:
            return
        steps: dict[int, dict[str, float]] = {}
        for point in points(entries):
            steps.setdefault(point.step, {})[point.key] = point.value
        for step, values in steps.items():
            self._run.log({_STEP: step, **values})
        self._end = entries[-1].end

    def close(self) -> None:
        """Write everything to the disk."""
        self._run.finish()
