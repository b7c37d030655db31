"""What is already done: one small file per finished shard, beside the shards, until the index replaces them all.

A part is written before its tar gets the final name. So a tar under its final name has its part; a part without its
tar, or whatever else a killed packer left, is packed again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dual_hpc.atomic import write_atomically
from dual_hpc.data.index import INDEX_NAME, Shard, ShardIndex, read_index
from dual_hpc.errors import EnvironmentFault, UserError
from shards.lock import Held, Lock

FOLDER = ".pack"


class Part(BaseModel):
    """A finished shard, or, without one, a stretch of the plan in which nothing could be packed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shard: Shard | None
    skips: list[tuple[str, str]]  # (where, reason)


class Parts:
    """The folder `.pack` in the output folder."""

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out / FOLDER

    def begin(self, fingerprint: str) -> None:
        """Start, or continue the same job.

        Raises:
            UserError: the folder holds an unfinished job of another corpus or other options.
        """
        self.folder.mkdir(exist_ok=True)
        plan = self.folder / f"plan-{fingerprint}"  # the name says it all: tasks that begin at once agree
        if any(path != plan for path in self.folder.glob("plan-*")):
            raise UserError(
                f"--out: {self.out} holds an unfinished pack of another source or with other options; "
                "repeat those options to finish it, or give another folder"
            )
        plan.touch()

    def temporary(self, number: int) -> Path:
        """Where a shard is written; the process's own name keeps two writers apart."""
        return self.folder / f"{number:05d}.{os.getpid()}.tmp"

    def clear_temporaries(self) -> None:
        """Remove what killed packers left half written."""
        for path in self.folder.glob("*.tmp"):
            path.unlink(missing_ok=True)

    def finish(self, number: int, part: Part) -> None:
        """Record a shard as done."""
        write_atomically(self._path(number), part.model_dump_json(exclude_none=True))

    def read(self, number: int) -> Part | None:
        """The part of a finished shard; None while it is not finished."""
        try:
            part = Part.model_validate({"shard": None, **json.loads(self._path(number).read_bytes())})
        except (OSError, ValueError):
            return None
        if part.shard is not None:
            tar = self.out / part.shard.name
            if not tar.is_file() or tar.stat().st_size != part.shard.bytes:
                return None
        return part

    @contextmanager
    def summing_up(self) -> Iterator[bool]:
        """True for the one task that turns all parts into the index; False while another does, or when it has."""
        with ExitStack() as stack:
            try:
                stack.enter_context(Lock(self.folder / "sum-up.lock"))
                mine_to_do = True
            except (Held, FileNotFoundError):  # the folder goes when the index stands
                mine_to_do = False
            yield mine_to_do

    def remove(self) -> None:
        """Forget everything: the index stands."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.json"


def read_finished(out: Path, fingerprint: str) -> ShardIndex | None:
    """The index of the same job if it has been finished before; None if it has not.

    Raises:
        UserError: the folder holds another finished data set, or a shard of this one is gone.
    """
    if not (out / INDEX_NAME).exists():
        return None
    index = read_index(out)
    if index.options.get("fingerprint") != fingerprint:
        raise UserError(
            f"--out: {out} holds a finished data set of another source or with other options; give another folder"
        )
    for shard in index.shards:
        if not (out / shard.name).is_file() or (out / shard.name).stat().st_size != shard.bytes:
            raise UserError(f"--out: {out / shard.name} is missing or was changed; remove the folder and start again")
    return index


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turn what a full, read-only or failing disk raises into one line."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise EnvironmentFault(
            f"{where}{error.strerror or error}; when that is put right the same command continues"
        ) from error
