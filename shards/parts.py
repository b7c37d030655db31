"""What is already done: one small file per finished shard, beside the shards, until the index replaces them all.

A part is written before its tar gets the final name. So a tar under its final name has its part; a part without its
tar, or whatever else a killed packer left, is packed again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dual_hpc.atomic import write_atomically
from dual_hpc.data.format.index import INDEX_NAME, Shard, ShardIndex, read_index
from dual_hpc.errors import EnvironmentFault, UserError
from shards.lock import Held, Lock, first_held

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

    def make_folder(self) -> None:
        """Make the output folder if it is absent.

        Raises:
            UserError: it is no folder, or holds tars that are not ours to replace.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"--out: {self.out} is not a folder") from error
        begun = (self.out / INDEX_NAME).exists() or self.folder.exists()
        if not begun and any(self.out.glob("*.tar")):
            raise UserError(f"--out: {self.out} holds tars of something else; give another folder")

    def finished(self, fingerprint: str) -> ShardIndex | None:
        """The index of the same job if it has been finished; None if it has not.

        Raises:
            UserError: the folder holds another finished data set, or a shard of this one is gone.
        """
        if not (self.out / INDEX_NAME).exists():
            return None
        index = read_index(self.out)
        if index.options.get("fingerprint") != fingerprint:
            raise UserError(
                f"--out: {self.out} holds a finished data set of another source or with other options; "
                "give another folder"
            )
        for shard in index.shards:
            tar = self.out / shard.name
            if not tar.is_file() or tar.stat().st_size != shard.bytes:
                raise UserError(f"--out: {tar} is missing or was changed; remove the folder and start again")
        self.remove()  # who wrote the index may have been killed just then
        return index

    @contextmanager
    def task(self, index: int, count: int, fingerprint: str, numbers: Iterable[int]) -> Iterator[None]:
        """Be one task of a job, started or continued: the only one of its number, beside none of another division.

        Args:
            fingerprint: identity of the job.
            numbers: the shards that this task, and no other, writes.

        Raises:
            UserError: another packer works on the folder, or it holds an unfinished job of another corpus or other
                options.
        """
        self.folder.mkdir(exist_ok=True)
        with Lock(self.folder / f"task-{index}-of-{count}.lock"):
            tasks = sorted(self.folder.glob("task-*.lock"))
            held = first_held(path for path in tasks if not path.stem.endswith(f"-of-{count}"))
            if held is not None:
                parts = held.stem.rpartition("-")[2]
                raise UserError(f"--out: {self.out} is being packed in {parts} part(s); wait for it")
            self._begin(fingerprint)
            mine = {f"{number:05d}" for number in numbers}
            for path in self.folder.glob("*.tmp"):  # half written by killed packers
                if path.name.partition(".")[0] in mine:
                    path.unlink(missing_ok=True)
            yield

    def _begin(self, fingerprint: str) -> None:
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


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turn what a full, read-only or failing disk raises into one line."""
    try:
        yield
    except OSError as error:
        where = error.filename or "--out"  # a failed write does not say where
        raise EnvironmentFault(
            f"{where}: {error.strerror or error}; when that is put right the same command continues"
        ) from error
