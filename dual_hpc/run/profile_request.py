"""The file by which a living run is asked for a profile, and where its traces are."""

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
    return run / PROFILES / str(request.number) / f"rank_{rank:04d}.json.gz"
