"""Keep MLflow up to date in the background of a training, which continues when MLflow fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from dual_hpc.errors import reason_of
from dual_hpc.run.directory import RunDir
from dual_hpc.tracking.journal_readers import JournalReaders
from dual_hpc.tracking.mlflow_sync import sync

_STOPPED, _FINISHED = 15.0, 120.0  # seconds for the last sync of a job; Slurm leaves a preempted one 30 by default

log = logging.getLogger(__name__)


class Synchroniser:
    """Sync in the background while a job trains; MLflow's failures never reach the training.

    Only rank 0 has one. All of it happens in one thread, also the last, full sync that `close` asks for.
    """

    def __init__(self, run: RunDir, interval: float, also: Sequence[str] = ()) -> None:
        """
        Args:
            interval: seconds.
            also: other programs that show the run; see `journal_readers`.
        """
        self._run, self._interval = run, interval
        self._readers = JournalReaders(run, also)
        self._stop = threading.Event()
        self._silent = self._complete = False
        self._model: Path | None = None
        self._thread = threading.Thread(target=self._work, name="mlflow-sync", daemon=True)

    def start(self) -> Synchroniser:
        """Begin; the first sync happens at once, so that a run shows up in MLflow while it starts."""
        self._thread.start()
        return self

    def close(self, model: Path | None = None, timeout: float | None = None) -> bool:
        """Sync everything a last time; False (and a warning) where MLflow could not be reached.

        Args:
            model: the exported weights of a finished run.
            timeout: seconds to wait for that. By default few without a model: a job that was stopped must requeue
                itself before the cluster kills it, and the next one syncs the rest.
        """
        self._model = model
        self._stop.set()
        short = model is None or self._silent  # a server that did not answer will not do so now
        self._thread.join(timeout if timeout is not None else _STOPPED if short else _FINISHED)
        if self._thread.is_alive():
            log.warning("MLflow is not up to date: a sync hangs; the journal of %s keeps everything", self._run.path)
            return False
        return self._complete

    def _work(self) -> None:
        while not self._stop.is_set():
            self._readers.update()
            self._try(artifacts=False)
            self._stop.wait(self._interval)
        self._readers.close()
        self._complete = self._try(artifacts=True, model=self._model)

    def _try(self, *, artifacts: bool, model: Path | None = None) -> bool:
        try:
            sync(self._run, artifacts=artifacts, model=model)
        except Exception as error:  # tracking must never stop a training; the journal keeps everything
            if not self._silent or artifacts:
                reason = reason_of(error)
                log.warning("MLflow is not up to date (%s); training continues, the next sync repairs it", reason)
            self._silent = True
            return False
        self._silent = False
        return True
