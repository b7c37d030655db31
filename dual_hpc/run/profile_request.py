"""The file by which a living run is asked for a profile, and where traces are."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.run.names import PROFILE_FILE, PROFILES


class ProfileRequest(BaseModel):
    """Its content.

    Attributes:
        number: another one for each request; the name of its folder.
        steps: that are traced.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int = Field(default_factory=lambda: int(time.time() * 1000), ge=0)
    ranks: tuple[int, ...] = (0,)
    steps: int = Field(3, ge=1, le=1000)


def read_request(run: Path) -> ProfileRequest | None:
    """The newest request; None where there is none that can be read."""
    try:
        return ProfileRequest.model_validate_json(read_bytes(run / PROFILE_FILE))
    except (OSError, ValidationError, ValueError):
        return None


def write_request(run: Path, request: ProfileRequest) -> None:
    """Ask for it.

    Raises:
        OSError: the run directory cannot be written.
    """
    write_atomically(run / PROFILE_FILE, request.model_dump_json() + "\n")


def trace_file(run: Path, request: ProfileRequest, rank: int) -> Path:
    """A rank's trace: JSON of Chrome's tracing, compressed; Perfetto opens it."""
    return run / PROFILES / str(request.number) / _rank_file(rank)


def planned_trace_file(run: Path, steps: tuple[int, int], rank: int) -> Path:
    """The same, of the steps that `training.profile_steps` names: the first and the last."""
    return run / PROFILES / f"steps_{steps[0]}_{steps[1]}" / _rank_file(rank)


def trace_folders(run: Path) -> list[Path]:
    """The folders with traces, the latest last."""
    files = sorted((run / PROFILES).glob("*/rank_*.json.gz"), key=lambda file: (file.stat().st_mtime, file))
    return list(dict.fromkeys(file.parent for file in reversed(files)))[::-1]


def _rank_file(rank: int) -> str:
    return f"rank_{rank:04d}.json.gz"
