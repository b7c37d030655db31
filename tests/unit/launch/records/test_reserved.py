"""The last words of a rank on a disk that is really full: a small file system of its own, mounted by the test."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.run import jsonl
from dual_hpc.run.names import FAILURES
from launch.records import failures, reserved
from launch.records.failures import Failure


def failure(rank: int, message: str, job_id: str = "7") -> Failure:
    return Failure(job_id=job_id, rank=rank, host="n1", message=message, exit_code=1, log="/l", restart_count=2)


def full(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_appended_is_written_into_the_slot_of_its_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved.reserve(tmp_path, 3)
    failures.record(tmp_path, failure(0, "before"))
    monkeypatch.setattr(jsonl, "append", full)
    for rank in (2, 1):
        failures.record(tmp_path, failure(rank, f"{rank}: " + "é" * 5000))
    found = failures.read(tmp_path, "7")
    assert [one.rank for one in found] == [0, 1, 2] and found[2].message.startswith("2: é")
    assert found[1].restart_count == 2 and (tmp_path / reserved.NAME).stat().st_size == 3 * reserved.SLOT
    assert failures.read(tmp_path, "8") == []
    with pytest.raises(OSError, match="no slot was reserved"):
        failures.record(tmp_path, failure(3, "x"))
    reserved.reserve(tmp_path, 2)
    assert [one.rank for one in failures.read(tmp_path, "7")] == [0], "a new start begins without last words"


def test_nothing_is_made_of_other_bytes(tmp_path: Path) -> None:
    assert failures.read(tmp_path, "7") == []
    (tmp_path / reserved.NAME).write_bytes(b"\0" * 5000 + b"{")
    assert failures.read(tmp_path, "7") == []
    (tmp_path / reserved.NAME).unlink()
    (tmp_path / reserved.NAME).symlink_to("/dev/zero")
    reserved.reserve(tmp_path, 1)
    assert failures.read(tmp_path, "7") == []
    os.unlink(tmp_path / reserved.NAME)
    os.mkfifo(tmp_path / reserved.NAME)
    reserved.reserve(tmp_path, 1)
    assert failures.read(tmp_path, "7") == []


ON_A_FULL_DISK = """
import sys
from pathlib import Path
from launch.records import failures, reserved
from tests.unit.launch.records.test_reserved import failure
logs = Path(sys.argv[1])
reserved.reserve(logs, 2)
try:
    with open(logs / "filler", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
except OSError as error:
    print(error.strerror)
failures.record(logs, failure(1, "OSError: [Errno 28] No space left on device"))
print([one.message for one in failures.read(logs, "7")])
"""


def test_on_a_full_file_system_the_record_is_kept(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system of 64 KiB")
    inside = f'mount -t tmpfs -o size=64k none "{tmp_path}" && "{sys.executable}" -c "$1" "{tmp_path}"'
    command = ["unshare", "--mount", "sh", "-c", inside, "sh", ON_A_FULL_DISK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip("this machine allows no mounts of one's own")
    assert done.stdout == "No space left on device\n['OSError: [Errno 28] No space left on device']\n", done.stderr
    assert not (tmp_path / FAILURES).exists(), "it was on the file system of the test's own"
