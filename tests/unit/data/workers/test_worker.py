"""What a worker's reading thread does, run here."""

from __future__ import annotations

import os
import queue
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from dual_hpc.data.decoding.decoder import Request
from dual_hpc.data.format.reader import SampleRef
from dual_hpc.data.workers import worker
from dual_hpc.data.workers.activity import BYTES, IDLE, READING, Status
from dual_hpc.data.workers.protocol import Job
from dual_hpc.data.workers.transfer import send


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # how the thread ends here
def test_slow_storage_is_read_ahead_of_the_decoder_as_far_as_asked_and_no_farther(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: queue.Queue[None] = queue.Queue()  # each lets one read end
    begun: queue.Queue[int] = queue.Queue()

    class SlowStorage:
        def read(self, ref: SampleRef, wanted: set[str]) -> dict[str, bytes]:
            begun.put(ref.number)
            answers.get()
            return {"flac": b"%d" % ref.number}

    def leave(code: int) -> None:
        raise SystemExit  # of the thread alone

    monkeypatch.setattr(worker, "SampleReader", SlowStorage)
    monkeypatch.setattr(os, "_exit", leave)
    ours, theirs = socket.socketpair()
    page = os.memfd_create("status")
    os.ftruncate(page, BYTES)
    status = Status(page)
    os.close(page)
    ready: queue.Queue[Any] = queue.Queue(maxsize=3)
    decoder = SimpleNamespace(members_to_read=lambda request: {"flac"})
    thread = threading.Thread(target=worker._read_ahead, args=(theirs, decoder, status, ready))
    thread.start()
    rows = [Request(SampleRef(n, f"k{n}", "a.tar", 0, {}, 1.0)) for n in range(8)]
    send(ours, Job(0, rows[:2]))
    send(ours, Job(1, rows[2:]))  # it does not stop at the end of a micro-batch
    assert begun.get(timeout=60) == 0 and status.activity()[0] == (READING, 0, 0)
    for _ in rows:
        answers.put(None)
    assert [begun.get(timeout=60) for _ in range(3)] == [1, 2, 3]  # three wait in the queue, one at its door
    for n in range(len(rows)):
        assert begun.empty()
        assert ready.get(timeout=60)[2] == {"flac": b"%d" % n}
        if n + 4 < len(rows):
            assert begun.get(timeout=60) == n + 4  # only now
    assert status.activity()[0].phase == IDLE
    ours.close()
    thread.join(timeout=60)
    assert not thread.is_alive()
    theirs.close()
