"""The alignment matrices of the first samples of the validation split, once per epoch: do they become diagonal?"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dual_hpc.evaluation.predictions import predicting
from dual_hpc.model.family import ModelFamily
from dual_hpc.run.alignment import MOST_STEPS, AlignmentMatrices, append_alignment, read_alignment
from dual_hpc.training.distributed import World
from dual_hpc.training.step import inputs

SAMPLES = 3


class AlignmentSamples:
    """Remembers a few samples of a validation, and shows them to the model once more; rank 0 writes the answers.

    One forward pass of few samples per epoch, on every rank, as ZeRO-3 needs it.
    """

    def __init__(self, run: Path, family: ModelFamily, world: World) -> None:
        self._run, self._family, self._world = run, family, world
        self._batch: dict[str, Any] | None = None
        written = read_alignment(run) if family.matrices and world.rank == 0 else []
        self._epoch: int = world.broadcast(int(written[-1].epoch) if written else -1)

    def see(self, batch: Mapping[str, Any]) -> None:
        """The first batch of a validation."""
        if self._family.matrices:
            self._batch = {key: value[:SAMPLES] for key, value in batch.items()}

    def seeing(self, batches: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The batches of a validation, the first of which is seen."""
        for number, batch in enumerate(batches):
            if number == 0:
                self.see(batch)
            yield batch

    def write(self, model: nn.Module, step: int, epoch: float) -> None:
        """Write the matrices of this step, unless some of this epoch are written. Collective."""
        batch, self._batch = self._batch, None
        if batch is None or int(epoch) <= self._epoch:
            return
        self._epoch = int(epoch)
        with predicting(model):
            shown = inputs(batch, self._family.inputs, self._world.device)
            shown.pop("labels", None)
            output = model(**shown, output_alignment=True)
        if self._world.rank != 0:
            return
        try:
            append_alignment(self._run, matrices_of(output, self._family.matrices, batch, step, epoch))
        except OSError as error:  # a full disk: nobody needs them to go on
            print(f"WARNING: no alignment matrices of step {step}: {error}", file=sys.stderr, flush=True)


def matrices_of(
    output: Any, names: Sequence[str], batch: Mapping[str, Any], step: int, epoch: float
) -> list[AlignmentMatrices]:
    """Of each valid sample that has sound and pictures: without padding, thinned to `MOST_STEPS`."""
    lengths = output.mask.sum(dim=1).tolist()
    found = []
    for row, (key, valid, length) in enumerate(zip(batch["keys"], batch["valid"].tolist(), lengths, strict=True)):
        every = -(-length // MOST_STEPS)
        matrices = {}
        for name in names:
            matrix = getattr(output, name)[row, :length:every, :length:every].float().cpu()
            if length and bool(torch.isfinite(matrix).all()) and bool(matrix.any()):  # zero: it lacks one of the two
                matrices[name.removeprefix("alignment_")] = [[round(x, 3) for x in line] for line in matrix.tolist()]
        if valid and matrices:
            seconds = float(batch["durations"][row])
            found.append(AlignmentMatrices(step=step, epoch=epoch, key=key, seconds=seconds, matrices=matrices))
    return found
