"""Exports of the running training: the weights of a step under a name in `export/`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dual_hpc.checkpoint.export import gather_weights, publish
from dual_hpc.errors import EnvironmentFault
from dual_hpc.group import gather_results
from dual_hpc.training.distributed import World
from dual_hpc.training.engine import Engine

Write = Callable[[Path, dict[str, torch.Tensor]], Any]


class Exporter:
    """Publishes weights while a run trains.

    Attributes:
        root: the folder `export` of the run.
    """

    def __init__(
        self, root: Path, engine: Engine, world: World, write: Write, check_ownership: Callable[[], None]
    ) -> None:
        """`write` saves gathered weights into a folder; `check_ownership` raises once another job has the run."""
        self.root = root
        self._engine, self._world, self._write, self._check_ownership = engine, world, write, check_ownership

    def export(self, name: str, step: int) -> None:
        """Publish the present weights as `name`; collective.

        Raises:
            EnvironmentFault: on every rank, if rank 0 could not write them.
        """
        weights = gather_weights(self._engine.deepspeed.module, self._world.rank)

        def attempt() -> EnvironmentFault | None:
            if self._world.rank == 0:
                try:
                    self._check_ownership()
                    publish(self.root, name, step, lambda folder: self._write(folder, weights))
                except EnvironmentFault as error:
                    return error
            return None

        failure = gather_results(self._world, attempt)[0]
        if failure is not None:
            raise failure
