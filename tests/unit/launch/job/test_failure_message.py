"""What a failing rank records as its error."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from launch.job.failure_message import failure_message, full_of_this_node


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.77.0.12]:46171"),
        RuntimeError("[enforce fail at x.cc] Read error [10.77.0.12]: Connection reset by peer"),
        RuntimeError("NCCL error in: x.cpp:1970, remote process exited or there was a network error"),
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(32, "Broken pipe"),
    ],
)
def test_a_lost_connection_is_called_a_consequence(error: Exception) -> None:
    said = failure_message(error)
    assert said.startswith("the connection to another rank was lost: it has ended, or its network failed (")
    assert str(error)[:40] in said


def test_other_errors_are_what_they_are() -> None:
    assert failure_message(UserError("optim.lr: no\nnumber")) == "optim.lr: no number"
    assert failure_message(ValueError("connection closed by peer")) == "ValueError: connection closed by peer"
    assert failure_message(RuntimeError("shape [3] is invalid")) == "RuntimeError: shape [3] is invalid"


def test_an_operation_without_a_deterministic_form_names_the_setting() -> None:
    said = RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation, but you set")
    found = failure_message(said)
    assert found.startswith("training.deterministic: ") and "set it to false (RuntimeError: cumsum_cuda" in found


def full(path: str, number: int = errno.ENOSPC) -> OSError:
    return OSError(number, os.strerror(number), path)


def test_what_is_full_on_one_node_is_told_from_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, here = tmp_path, "/dev/shm/torch_42"
    if store.stat().st_dev == Path("/dev/shm").stat().st_dev:
        pytest.skip("the temporary folder is /dev/shm")
    assert full_of_this_node(full(here), store) == f"{here}: No space left on device"
    assert full_of_this_node(full(here, errno.EDQUOT), store) == f"{here}: Disk quota exceeded"
    wrapped = RuntimeError("a kernel cannot be compiled")
    wrapped.__cause__ = full(here)
    assert full_of_this_node(wrapped, store) == f"{here}: No space left on device"
    assert full_of_this_node(full(str(store / "checkpoints" / "x")), store) is None, "the store, which all nodes share"
    assert full_of_this_node(full("/tmp/x"), Path("/tmp")) is None, "a store in the same file system"
    assert full_of_this_node(full(here, errno.EIO), store) is None and full_of_this_node(ValueError(), store) is None
    other = OSError(errno.ENOSPC, "No space left on device")
    assert full_of_this_node(other, store) is None, "nobody says where"
