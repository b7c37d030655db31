"""The batches of an evaluation that are done, on the disk, so that a killed one continues and several ranks share it.

Which utterances a batch has, depends on the evaluation alone, not on the ranks. Rank r of n computes the batches r,
r + n ... that no rank has finished before; each is one line of the rank's own file. Whoever finds every batch there
writes the report. The ranks need not run at the same time, nor be as many when they continue.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import dual_hpc
from dual_hpc.evaluation.predictions import Part, Predictions, in_order, shortest_decimals
from dual_hpc.files.locks import LockTimeout, file_lock
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.run import jsonl

log = logging.getLogger(__name__)


class Answers(BaseModel):
    """Of one condition: keys, class numbers, and probabilities as the shortest decimals that are the same float32.

    Attributes:
        dimensions: values in the same way; empty of a model without them.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    keys: list[str]
    truth: list[int]
    probabilities: list[list[float]]
    dimensions: list[list[float]] = Field(default_factory=list)


class FinishedBatch(BaseModel):
    """One line.

    Attributes:
        batch: its number.
        undecodable: how many of its utterances could not be decoded.
        answers: by condition.
        clipped: of the robustness suite: condition -> audio samples clipped, and all.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    batch: int
    undecodable: int = 0
    answers: dict[str, Answers]
    clipped: dict[str, tuple[int, int]] = Field(default_factory=dict)


def finished_batch(
    number: int, undecodable: int, parts: Mapping[str, Part], clipped: Mapping[str, Any]
) -> FinishedBatch:
    """The line of a batch, from its answers by condition."""
    answers = {}
    for name, (keys, truth, probabilities, dimensions) in parts.items():
        labels = np.concatenate(truth).tolist()
        shares, values = (
            [shortest_decimals(row) for one in some for row in one] for some in (probabilities, dimensions)
        )
        answers[name] = Answers(keys=keys, truth=labels, probabilities=shares, dimensions=values)
    return FinishedBatch(batch=number, undecodable=undecodable, answers=answers, clipped=dict(clipped))


class FinishedBatches:
    """Those of one evaluation, in `FOLDER/.NAME.parts/FINGERPRINT/`; without a folder in memory only.

    Args:
        total: batches of the evaluation.
        array: this rank, and how many there are.
    """

    def __init__(self, place: tuple[Path, str] | None, fingerprint: str, total: int, array: tuple[int, int]) -> None:
        self.total, self.array = total, array
        self._place = place
        self._parts = None if place is None else place[0] / f".{place[1]}.parts"
        self._folder = None if self._parts is None else self._parts / fingerprint
        self._found: dict[int, FinishedBatch] = {}
        self._read()

    @property
    def mine(self) -> list[int]:
        """Numbers of the batches that this rank has to compute."""
        index, count = self.array
        return [number for number in range(index, self.total, count) if number not in self._found]

    @property
    def found(self) -> list[FinishedBatch] | None:
        """Every batch in its order; None while some are missing."""
        self._read()
        return [self._found[n] for n in range(self.total)] if len(self._found) == self.total else None

    def add(self, batch: FinishedBatch) -> None:
        """Note a batch as done.

        Raises:
            OSError: it cannot be written, and other ranks need it. A single rank goes on in memory: the folder may be
                what a colleague's killed evaluation has left, and a full disk is told where the report is written.
        """
        self._found[batch.batch] = batch
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            jsonl.append(self._folder / f"rank-{self.array[0]}-of-{self.array[1]}.jsonl", batch)
        except OSError as error:
            if self.array[1] > 1:
                raise
            log.info(
                "%s cannot be written (%s): if this evaluation is killed, it starts again from the beginning",
                self._folder,
                error,
            )
            self._folder = None

    @contextlib.contextmanager
    def report_once(self) -> Iterator[bool]:
        """True for the one rank that writes the report; what was noted is removed afterwards."""
        if self._place is None or self._parts is None:
            yield True
            return
        self._place[0].mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(file_lock(self._place[0], 0.0 if self.array[1] > 1 else 600.0, required=False))
            except LockTimeout:
                yield False
                return
            yield True
            shutil.rmtree(self._parts, ignore_errors=True)

    def _read(self) -> None:
        if self._folder is None:
            return
        for path in sorted(self._folder.glob("rank-*.jsonl")):
            for one in jsonl.read(path, FinishedBatch):
                if 0 <= one.batch < self.total:
                    self._found[one.batch] = one


def predictions_of(batches: Sequence[FinishedBatch], conditions: Iterable[str]) -> dict[str, Predictions]:
    """Condition -> the answers of all batches, by key."""
    found = {}
    for name in conditions:
        some = [one.answers[name] for one in batches if one.answers[name].keys]
        parts = []
        for one in some:
            shares, values = np.array(one.probabilities, np.float32), np.array(one.dimensions, np.float32)
            parts.append((one.keys, np.array(one.truth, np.int64), shares, values))
        found[name] = in_order(parts)
    return found


def clipped_of(batches: Sequence[FinishedBatch]) -> dict[str, tuple[int, int]]:
    """Condition -> audio samples that it clips, and all, of all batches."""
    names = dict.fromkeys(name for one in batches for name in one.clipped)
    counts = {name: [one.clipped[name] for one in batches if name in one.clipped] for name in names}
    return {name: (sum(a for a, _ in some), sum(b for _, b in some)) for name, some in counts.items()}


def fingerprint_of(model_dir: Path, *facts: Any) -> str:
    """Names an evaluation: the same for the same weights, utterances, conditions and code."""
    digest = hashlib.sha256(json.dumps([_weights(model_dir), _code(), *facts], default=str).encode())
    return digest.hexdigest()[:32]


def _weights(model_dir: Path) -> Any:
    """The manifest has the hash of every file; without one, sizes and times."""
    try:
        return hashlib.sha256(read_bytes(model_dir / "manifest.json")).hexdigest()
    except OSError:
        there = sorted(path for path in model_dir.glob("*") if path.is_file())
        return [(path.name, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in there]


def _code() -> str:
    root = Path(dual_hpc.__file__).parent
    digest = hashlib.sha256(dual_hpc.__version__.encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
