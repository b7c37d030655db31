"""What a failing rank records as its error."""

from __future__ import annotations

import pytest

from dual_hpc.errors import UserError
from launch.job.failure_message import failure_message


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
