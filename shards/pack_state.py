"""The state of an unfinished pack: one small record per finished shard, in the output folder, until the index exists.

A record is written before its tar gets the final name. So a tar under its final name has its record; a record without
its tar, or whatever else a killed packer left, is packed again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dual_hpc.data.format.index import INDEX_NAME, UNFINISHED, Shard, ShardIndex, read_index
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import read_bytes
from shards.lock import Lock, LockHeld, first_held_lock


class FinishedShard(BaseModel):
    """The record of a finished shard; without `shard`, of a stretch of the plan in which nothing could be packed.

    Attributes:
        skips: (key of the utterance, reason) of what was left out.
        coding: of its videos (`CODING` in `preparation/encode.py`); None: features, or an earlier version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shard: Shard | None
    skips: list[tuple[str, str]]
    coding: int | None = None


class PackState:
    """The folder `.pack` in the output folder; the names in it are read by packers of other versions: they stay."""

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, out / UNFINISHED

    def make_folder(self) -> None:
        """Make the output folder if it is absent.

        Raises:
            UserError: it is not a folder, or holds tars that this job did not write.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"--out: {self.out} is not a folder") from error
        begun = (self.out / INDEX_NAME).exists() or self.folder.exists()
        if not begun and any(self.out.glob("*.tar")):
            raise UserError(f"--out: {self.out} holds tar files of something else; give another folder")

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
                f"--out: {self.out} holds a finished data set of another source or with other options, or one that "
                "another version of dual-hpc planned; give another folder"
            )
        for shard in index.shards:
            tar = self.out / shard.name
            if not tar.is_file() or tar.stat().st_size != shard.bytes:
                raise UserError(f"--out: {tar} is missing or was changed; remove the folder and start again")
        self.remove()  # the task that wrote the index may have been killed just then
        return index

    @contextmanager
    def task(self, index: int, count: int, fingerprint: str, numbers: Iterable[int]) -> Iterator[None]:
        """Be one task of a job, started or continued: the only one of its number, and none of another division runs.

        Args:
            fingerprint: identity of the job.
            numbers: the shards that this task, and no other, writes.

        Raises:
            UserError: another packer works on the folder, or it holds an unfinished job of another corpus or other
                options.
        """
        self.folder.mkdir(exist_ok=True)
        with Lock(self.folder / f"task-{index}-of-{count}.lock"):
            locks = sorted(self.folder.glob("task-*.lock"))
            held = first_held_lock(path for path in locks if not path.stem.endswith(f"-of-{count}"))
            if held is not None:
                tasks = held.stem.rpartition("-")[2]
                raise UserError(f"--out: {self.out} is being packed by {tasks} task(s); wait until they end")
            self._begin(fingerprint)
            mine = {f"{number:05d}" for number in numbers}
            for path in self.folder.glob("*.tmp"):  # half written by killed packers
                if path.name.partition(".")[0] in mine:
                    path.unlink(missing_ok=True)
            yield

    def _begin(self, fingerprint: str) -> None:
        plan = (
            self.folder / f"plan-{fingerprint}"
        )  # the name is the whole content: tasks that start at the same time agree
        if any(path != plan for path in self.folder.glob("plan-*")):
            raise UserError(
                f"--out: {self.out} holds an unfinished pack of another source or with other options, or of another "
                "version of dual-hpc; repeat its command to finish it, or give another folder"
            )
        plan.touch()

    def temporary(self, number: int) -> Path:
        """Where a shard is written; the process's own name keeps two writers apart."""
        return self.folder / f"{number:05d}.{os.getpid()}.tmp"

    def finish(self, number: int, record: FinishedShard) -> None:
        """Record a shard as done."""
        write_atomically(self._path(number), record.model_dump_json(exclude_none=True))

    def read(self, number: int) -> FinishedShard | None:
        """The record of a finished shard; None while it is not finished."""
        try:
            tree = parse_json(read_bytes(self._path(number)))
            record = FinishedShard.model_validate({"shard": None, **tree} if isinstance(tree, dict) else tree)
        except (OSError, ValueError):
            return None
        if record.shard is not None:
            tar = self.out / record.shard.name
            if not tar.is_file() or tar.stat().st_size != record.shard.bytes:
                return None
        return record

    @contextmanager
    def finalize_once(self) -> Iterator[bool]:
        """True for the one task that turns all records into the index; False while another does, or when it has."""
        with ExitStack() as stack:
            try:
                stack.enter_context(Lock(self.folder / "sum-up.lock"))
                is_finalizer = True
            except (LockHeld, FileNotFoundError):  # the folder is removed once the index exists
                is_finalizer = False
            yield is_finalizer

    def remove(self) -> None:
        """Delete all records: the index exists."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.json"


@contextmanager
def report_disk_faults() -> Iterator[None]:
    """Turn the OSError of a full, read-only or failing disk into one line."""
    try:
        yield
    except OSError as error:
        where = error.filename or "--out"  # a failed write does not say where
        raise EnvironmentFault(
            f"{where}: {error.strerror or error}; when that is repaired, the same command continues"
        ) from error
