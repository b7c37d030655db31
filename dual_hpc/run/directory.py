"""The run directory: everything a run knows lives there and only there (contract 4).

    config.yaml       the resolved configuration
    run.json          identity: name, run id (the tag `dual.run_id` in MLflow), code version, time of submission
    journal.jsonl     metrics and events; see journal.py
    segments.jsonl    the jobs that worked on it
    checkpoints/      step_NNNNNNNN/ with manifest.json
    export/           best, last: saved models (links to step_NNNNNNNN/); see checkpoint/export.py
    tokenizer/        made once, at the start of the first job
    code.zip          the code that its jobs run, with that of its plugins
    logs/  reports/

A job carries the path and nothing else.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.atomic import write_atomically
from dual_hpc.config import RunConfig, config_hash, load_config, save_config, with_free_settings
from dual_hpc.errors import EnvironmentFault, UserError

FOLDERS = ("checkpoints", "logs", "reports", "tokenizer")


class RunIdentity(BaseModel):
    """`run.json`, written at submission; `plugins` again when a job is given new code.

    Attributes:
        run_id: 32 hexadecimal digits, minted here; MLflow's run carries it as the tag `dual.run_id`, by which every
            later job and every `sync` finds the same MLflow run again.
        code_version: the commit, with "+dirty" where the tree had changes; "unknown" outside a repository.
        created: Unix time in seconds.
        plugins: sha256 of the sources of each plugin, as they are in the run's code archive.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    run_id: str = Field(default_factory=lambda: uuid.uuid4().hex, pattern="^[0-9a-f]{32}$")
    code_version: str = "unknown"
    created: float = Field(default_factory=time.time)
    plugins: dict[str, str] = Field(default_factory=dict)


class Segment(BaseModel):
    """One line of `segments.jsonl`: a job that began or ended its work on the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: Literal["start", "end"]
    job_id: str
    time: float = Field(default_factory=time.time)
    step: int = 0
    world_size: int | None = None
    hosts: list[str] = Field(default_factory=list)
    reason: str | None = Field(None, description="why it ended: finished, deadline, preempted, failed ...")
    details: dict[str, Any] = Field(default_factory=dict)


class RunDir:
    """Paths and small files of one run directory; see `create` and `open`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.identity_file = self.path / "run.json"
        self.journal = self.path / "journal.jsonl"
        self.segments_file = self.path / "segments.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.exports = self.path / "export"
        self.logs = self.path / "logs"
        self.reports = self.path / "reports"
        self.tokenizer = self.path / "tokenizer"
        self.code = self.path / "code.zip"

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    @classmethod
    def create(
        cls,
        path: str | Path,
        config: RunConfig,
        code_version: str = "unknown",
        plugins: Mapping[str, str] | None = None,
    ) -> RunDir:
        """Make the directory, or take up the one that stands there if its configuration decides the same result.

        `run.json` is written last: a directory without it was never submitted and is made anew.

        Raises:
            UserError: a run of another configuration stands there.
            EnvironmentFault: the folder cannot be written.
        """
        run = cls(path)
        if run.identity_file.exists():
            if config_hash(run.config()) != config_hash(config):
                # Not remade even if nothing was trained yet: a job that waits in a queue may be about to read it.
                empty = "" if run.segments() else " (nothing was trained there yet: its folder may be removed)"
                raise UserError(
                    f"name: the run {run.path} exists with another configuration; give this one another name=..., "
                    f"or use the saved config.yaml to continue it{empty}"
                )
            return run
        try:
            for folder in FOLDERS:
                (run.path / folder).mkdir(parents=True, exist_ok=True)
            save_config(config, run.config_file)
            run._write_identity(RunIdentity(name=config.name, code_version=code_version, plugins=dict(plugins or {})))
        except OSError as error:
            raise EnvironmentFault(f"the run directory {run.path} cannot be written: {error.strerror}") from error
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDir:
        """An existing run directory.

        Raises:
            UserError: there is none at `path`.
        """
        run = cls(path)
        if not run.identity_file.is_file() or not run.config_file.is_file():
            raise UserError(f"{run.path} is not a run directory (no run.json or no config.yaml)")
        run.identity()
        return run

    def config(self) -> RunConfig:
        """The resolved configuration the run was submitted with."""
        return load_config(self.config_file)

    def take_settings(self, wanted: RunConfig) -> None:
        """Write those settings of `wanted` that decide no result into `config.yaml`, while nobody works on the run.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        config = self.config()
        changed = with_free_settings(config, wanted)
        if changed == config:
            return
        temporary = self.config_file.with_name(".config.yaml.tmp")
        try:
            save_config(changed, temporary)
            os.replace(temporary, self.config_file)
        except OSError as error:
            raise EnvironmentFault(f"{self.config_file} cannot be written: {error.strerror}") from error

    def identity(self) -> RunIdentity:
        """The content of `run.json`."""
        try:
            return RunIdentity.model_validate_json(self.identity_file.read_bytes())
        except (OSError, ValidationError) as error:
            raise UserError(f"{self.identity_file} is not a run's identity") from error

    def record_plugins(self, plugins: Mapping[str, str]) -> list[str]:
        """Note the plugins that the run's code archive holds now (name -> sha256); returns those that have changed.

        Raises:
            EnvironmentFault: `run.json` cannot be written.
        """
        identity = self.identity()
        changed = [name for name, digest in plugins.items() if identity.plugins.get(name) != digest]
        if changed:
            try:
                self._write_identity(identity.model_copy(update={"plugins": dict(plugins)}))
            except OSError as error:
                raise EnvironmentFault(f"{self.identity_file} cannot be written: {error.strerror}") from error
        return changed

    def _write_identity(self, identity: RunIdentity) -> None:
        write_atomically(self.identity_file, identity.model_dump_json(indent=2) + "\n")

    def append_segment(self, segment: Segment) -> None:
        """Add a line to `segments.jsonl` with one write."""
        line = segment.model_dump_json(exclude_none=True) + "\n"
        file = os.open(self.segments_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def segments(self) -> list[Segment]:
        """The jobs so far; torn lines are left out."""
        try:
            lines = self.segments_file.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                found.append(Segment.model_validate_json(line))
            except ValidationError:
                continue
        return found


def list_runs(runs: Path) -> list[RunDir]:
    """The run directories of a store, oldest first."""
    found = [RunDir(path.parent) for path in runs.glob("*/run.json")]
    return sorted(found, key=lambda run: run.identity().created)


def write_json(path: Path, content: Any) -> None:
    """Write plain data as readable JSON, atomically."""
    write_atomically(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
