"""Samples of a node while a job works on it, in a journal of the node's own: `system/NODE.jsonl` in the run directory.

One thread per node, of the process with local rank 0. The file has the form of `journal.jsonl`; whoever fills MLflow
reads it as well, now or later (contract 8). The step is seconds since the run was made, so that a curve goes on over
all jobs of a run. Names are MLflow's (`system/cpu_utilization_percentage`), with the node's where there are several.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dual_hpc.errors import EnvironmentFault
from dual_hpc.monitor.gpus import Gpus
from dual_hpc.monitor.host import Counters, meminfo, read_counters, values
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import Journal
from dual_hpc.run.names import SYSTEM

log = logging.getLogger(__name__)


class NodeMonitor:
    """Writes a sample each `seconds`, until `stop`. Its failures never reach the training."""

    def __init__(
        self, run: RunDir, node: str, nodes: int, seconds: float, check_ownership: Callable[[], None] = lambda: None
    ) -> None:
        """
        Args:
            nodes: of the job; with one the metrics are named without it.
            check_ownership: raises once another job has taken over the run.
        """
        self._run, self._seconds, self._check_ownership = run, seconds, check_ownership
        self._node = re.sub(r"[^A-Za-z0-9_.-]", "_", node) or "node"
        self._prefix = "system/" if nodes == 1 else f"system/{self._node}/"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="node-monitor", daemon=True)

    @property
    def journal(self) -> Path:
        """The node's file."""
        return self._run.path / SYSTEM / f"{self._node}.jsonl"

    def start(self) -> NodeMonitor:
        """Begin to sample."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End; waits no longer than a second for a sample that is under way."""
        self._stop.set()
        self._thread.join(1.0)

    def _work(self) -> None:
        try:
            self._sample_until_stopped()
        except Exception as error:  # a full disk, a run that another job has taken over
            log.warning("the node's metrics are not written any more: %s", error)

    def _sample_until_stopped(self) -> None:
        created, gpus = self._run.identity().created, Gpus()
        self.journal.parent.mkdir(exist_ok=True)
        begin = before = read_counters()
        journal = Journal(self.journal)
        try:
            while not self._stop.wait(self._seconds):
                self._check_ownership()
                now = read_counters()
                journal.metrics(int(time.time() - created), self._sample(begin, before, now, gpus))
                before = now
        finally:
            try:
                journal.close()
            except EnvironmentFault as error:
                log.warning("%s", error)

    def _sample(self, begin: Counters, before: Counters, now: Counters, gpus: Gpus) -> dict[str, float]:
        found = values(begin, before, now, meminfo(), str(self._run.path)) | gpus.values()
        return {f"{self._prefix}{name}": round(value, 3) for name, value in found.items()}
