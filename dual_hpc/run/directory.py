"""The run directory: all data of a run are there and only there (contract 4).

    config.yaml       the resolved configuration
    run.json          identity: name, run id (the tag `dual.run_id` in MLflow), code version, time of submission
    journal.jsonl     metrics and events; see journal.py
    segments.jsonl    the jobs that worked on it
    checkpoints/      step_NNNNNNNN/ with manifest.json
    export/           best, last: saved models (links to step_NNNNNNNN/); see checkpoint/export.py
    tokenizer/        made once, at the start of the first job
    code.zip          the code that its jobs run, with that of its plugins
    logs/  reports/

A job is given the path and nothing else.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.config import (
    RunConfig,
    as_before,
    config_hash,
    differences,
    is_prolonged,
    load_config,
    mutable_changes,
    require_no_secret,
    save_config,
    update_config,
)
from dual_hpc.config.validation_errors import first_reason
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.ownership import keep_others_out
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.run import jsonl, names

FINISHED = "finished"  # why a segment ended: all steps are done
PROLONGED = "prolonged"  # the reason of a line that takes this back: the user has given the run more steps
FOLDERS = (names.CHECKPOINTS, names.LOGS, names.REPORTS, names.TOKENIZER)


class RunIdentity(BaseModel):
    """`run.json`, written at submission; `plugins` again when a job is given new code.

    Attributes:
        run_id: 32 hexadecimal digits, minted here; MLflow's run carries it as the tag `dual.run_id`, by which every
            later job and every `sync` finds the same MLflow run again.
        code_version: the commit, with "+dirty" where the tree had changes; "unknown" outside a repository.
        created: Unix time in seconds.
        plugins: sha256 of the sources of each plugin, as they are in the run's code archive.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    run_id: str = Field(default_factory=lambda: uuid.uuid4().hex, pattern="^[0-9a-f]{32}$")
    code_version: str = "unknown"
    created: float = Field(default_factory=time.time)
    plugins: dict[str, str] = Field(default_factory=dict)


class Segment(BaseModel):
    """One line of `segments.jsonl`: a job that began or ended its work on the run.

    Keys of other versions are ignored: earlier ones wrote `details` as well.

    Attributes:
        hosts: the nodes of the job, in the order of its ranks, each once; written when it begins.
        gpus, cores: of all its ranks together; written when it begins.
        allocated: when the job was given its nodes, Unix seconds, where Slurm says it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    event: Literal["start", "end"]
    job_id: str
    time: float = Field(default_factory=time.time)
    step: int = 0
    world_size: int | None = None
    hosts: list[str] = Field(default_factory=list)
    gpus: int | None = None
    cores: int | None = None
    allocated: float | None = None
    reason: str | None = Field(None, description="why it ended: finished, deadline, preempted, failed ...")


class RunDir:
    """Paths and small files of one run directory; see `create` and `open`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / names.CONFIG
        self.identity_file = self.path / names.IDENTITY
        self.journal = self.path / names.JOURNAL
        self.segments_file = self.path / names.SEGMENTS
        self.checkpoints = self.path / names.CHECKPOINTS
        self.exports = self.path / names.EXPORTS
        self.logs = self.path / names.LOGS
        self.reports = self.path / names.REPORTS
        self.tokenizer = self.path / names.TOKENIZER
        self.code = self.path / names.CODE_ARCHIVE
        self.micro_batch = self.path / names.MICRO_BATCH
        self.stop_file = self.path / names.STOP_FILE

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    @classmethod
    def create(
        cls,
        path: str | Path,
        config: RunConfig,
        code_version: str = "unknown",
        plugins: Mapping[str, str] | None = None,
        may_be_longer: bool = False,
    ) -> RunDir:
        """Make the directory, or open the existing one if its configuration decides the same result.

        Args:
            may_be_longer: also one whose configuration is that of a shorter run (`is_prolonged`).

        `run.json` is written last: a directory without it was never submitted and is made again.

        Raises:
            UserError: a run of another configuration exists there, or the configuration holds a password.
            EnvironmentFault: the folder cannot be written.
        """
        run = cls(path)
        if run.identity_file.exists():
            config = as_before(config, run.config_file)
            was = run.config()
            prolonged = is_prolonged(was, config)
            if config_hash(was) != config_hash(config) and not (prolonged and may_be_longer):
                # Not remade even if nothing was trained yet: a job that waits in a queue may be about to read it.
                empty = "" if run.segments() else " (nothing was trained there yet: its folder may be removed)"
                found = differences(was, config)
                more = f" and {len(found) - 3} more" if len(found) > 3 else ""
                advice = "give this one another name=..., or use the saved config.yaml to continue it"
                if prolonged:
                    longer = f"training.epochs={config.training.epochs}"
                    advice = f"`dual-hpc resume {run.path.name} {longer}` makes it longer; {advice}"
                raise UserError(
                    f"name: the run {run.path} exists with another configuration ({'; '.join(found[:3])}{more}); "
                    f"{advice}{empty}"
                )
            return run
        require_no_secret(config)
        try:
            for folder in FOLDERS:
                (run.path / folder).mkdir(parents=True, exist_ok=True)
            for own in ("", names.CHECKPOINTS, names.LOGS, names.TOKENIZER):  # into reports/ colleagues may evaluate
                keep_others_out(run.path / own)
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
        """Write the mutable settings of `wanted` that differ into `config.yaml`, while no job works on the run.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        changes = mutable_changes(self.config(), wanted)
        if not changes:
            return
        try:
            update_config(self.config_file, changes)
        except OSError as error:
            raise EnvironmentFault(f"{self.config_file} cannot be written: {error.strerror}") from error

    def identity(self) -> RunIdentity:
        """The content of `run.json`."""
        try:
            return RunIdentity.model_validate_json(read_bytes(self.identity_file))
        except OSError as error:
            raise UserError(f"{self.identity_file} is not a run's identity ({error.strerror})") from error
        except ValidationError as error:
            raise UserError(f"{self.identity_file} is not a run's identity ({first_reason(error)})") from error

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
        jsonl.append(self.segments_file, segment)

    def segments(self) -> list[Segment]:
        """The jobs so far; torn lines are left out."""
        return jsonl.read(self.segments_file, Segment)

    def has_finished(self) -> bool:
        """True where training has done all its steps, and was not made longer since."""
        ends = [one.reason for one in self.segments() if one.reason in (FINISHED, PROLONGED)]
        return ends[-1:] == [FINISHED]


def write_json(path: Path, content: Any) -> None:
    """Write plain data as readable JSON, atomically."""
    write_atomically(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
