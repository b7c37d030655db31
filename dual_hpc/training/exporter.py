"""Exports of the running training: the weights of a step under a name in `export/`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from dual_hpc.checkpoint.export import exports_of, gather_weights, publish
from dual_hpc.config import RunConfig
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.evaluation.selection import selecting_subset
from dual_hpc.group import gather_results
from dual_hpc.model.confidence import Confidence, read_confidence
from dual_hpc.training.distributed import World
from dual_hpc.training.engine import Engine
from dual_hpc.training.reporter import Reporter

Publish = Callable[[], EnvironmentFault | None]


class Writer(Protocol):
    """Saves weights into a folder, and how sure they may be: `ModelWriter`."""

    def take(self, weights: dict[str, torch.Tensor]) -> None: ...

    def write(self, folder: Path, confidence: Confidence | None) -> None: ...


class Exporter:
    """Publishes weights while a run trains.

    Attributes:
        root: the folder `export` of the run.
    """

    def __init__(
        self, root: Path, engine: Engine, world: World, writer: Writer, check_ownership: Callable[[], None]
    ) -> None:
        """`check_ownership` raises once another job has the run."""
        self.root = root
        self._engine, self._world, self._writer, self._check_ownership = engine, world, writer, check_ownership

    def take(self, name: str, step: int, confidence: Confidence | None = None) -> Publish:
        """Copy the present weights, so that the training may go on; collective. The export before must be over.

        Args:
            confidence: of these weights on the validation split; None takes what an export of this step has.

        Returns:
            What publishes them as `name` on rank 0, in any thread, and does nothing on the others; its answer is why
            they could not be written.
        """
        weights = gather_weights(self._engine.deepspeed.module, self._world.rank)
        if self._world.rank != 0:
            return lambda: None
        self._writer.take(weights)

        def act() -> EnvironmentFault | None:
            try:
                self._check_ownership()
                known = confidence or exported_confidence(self.root, step)
                publish(self.root, name, step, partial(self._writer.write, confidence=known))
            except EnvironmentFault as error:
                return error
            return None

        return act

    def export(self, name: str, step: int) -> None:
        """Publish the present weights as `name`; collective.

        Raises:
            EnvironmentFault: on every rank, if rank 0 could not write them.
        """
        failure = gather_results(self._world, self.take(name, step))[0]
        if failure is not None:
            raise failure


def exported_confidence(root: Path, step: int) -> Confidence | None:
    """What an export of a step in `root` says of its confidence; None without one, or where its file is damaged."""
    for folder in exports_of(root, step):
        try:
            found = read_confidence(folder)
        except UserError:
            continue
        if found is not None:
            return found
    return None


def report_best(
    failure: EnvironmentFault | None, step: int, score: float, config: RunConfig, reporter: Reporter
) -> bool:
    """Write down how the export of the best weights has ended; True if they are published.

    A failure is only reported: `export/best` keeps the best so far, and the next better weights are exported.
    """
    if failure is not None:
        reporter.warn("export_failed", step, f"{failure}; training goes on, the best weights so far are kept")
        return False
    reporter.event("best", step, score=score, subset=selecting_subset(config))
    return True
