"""Signals become a flag, for this process and as long as it listens."""

from __future__ import annotations

import os
import signal

import pytest

from dual_hpc.training.stopping import SIGNALS, listening


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_sets_the_flag_and_the_first_one_names_the_reason(number: signal.Signals) -> None:
    with listening() as flag:
        assert flag.reason is None
        os.kill(os.getpid(), number)
        for other in SIGNALS:
            os.kill(os.getpid(), other)
        assert flag.reason == number.name


def test_former_handlers_come_back() -> None:
    former = [signal.getsignal(number) for number in SIGNALS]
    with listening():
        assert [signal.getsignal(number) for number in SIGNALS] != former
    assert [signal.getsignal(number) for number in SIGNALS] == former


def test_a_forked_child_cannot_stop_the_run() -> None:
    with listening() as flag:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(flag.reason is not None)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert flag.reason is None
