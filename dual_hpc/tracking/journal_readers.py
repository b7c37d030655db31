"""Other programs than MLflow that show a run, filled from its journal by choice: `tracking.also`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Protocol

from dual_hpc.errors import UserError, reason_of
from dual_hpc.run.directory import RunDir

log = logging.getLogger(__name__)


class JournalReader(Protocol):
    """Shows a run elsewhere; created by each process, which brings everything of the journal."""

    def update(self) -> None:
        """Show what the journal has got since."""

    def close(self) -> None:
        """Write everything to the disk."""


def missing_readers(names: Sequence[str]) -> list[str]:
    """A line for each whose package this Python does not have."""
    absent = [name for name in dict.fromkeys(names) if find_spec(name) is None]
    return [f"tracking.also: {name} is not installed here: pip install 'dual-hpc[{name}]'" for name in absent]


def open_reader(name: str, run: RunDir) -> JournalReader:
    """The reader of that name.

    Raises:
        UserError: its package is not installed.
    """
    try:
        if name == "tensorboard":
            from dual_hpc.tracking.tensorboard import TensorBoardFiles

            return TensorBoardFiles(run)
        from dual_hpc.tracking.wandb import WandbOffline

        return WandbOffline(run)
    except ImportError as error:
        raise UserError(f"tracking.also: {name} is not installed ({error}): pip install 'dual-hpc[{name}]'") from error


class JournalReaders:
    """Those of a run. What one of them raises is a warning, once; the others and MLflow go on."""

    def __init__(self, run: RunDir, names: Sequence[str]) -> None:
        self._run, self._waiting = run, list(dict.fromkeys(names))
        self._open: dict[str, JournalReader] = {}

    def update(self) -> None:
        """Bring all of them up to the journal."""
        for name in self._waiting:
            self._try(name, partial(self._begin, name))
        self._waiting = []
        for name, reader in list(self._open.items()):
            self._try(name, reader.update)

    def close(self) -> None:
        """Bring all of them up to the journal, and end."""
        self.update()
        for name, reader in list(self._open.items()):
            self._try(name, reader.close)
        self._open = {}

    def _begin(self, name: str) -> None:
        self._open[name] = open_reader(name, self._run)

    def _try(self, name: str, what: Callable[[], object]) -> None:
        try:
            what()
        except Exception as error:  # tracking must never stop a training; the journal keeps everything
            self._open.pop(name, None)
            log.warning("%s does not show this run: %s", name, reason_of(error))
