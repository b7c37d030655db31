"""Rendezvous ports: the same for all ranks of a job, outside what the kernel hands out, free when asked for."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.errors import EnvironmentFault
from launch.job import ports


@given(st.one_of(st.from_regex(r"[0-9]{1,9}(_[0-9]{1,4})?", fullmatch=True), st.text()))
def test_a_job_id_gives_one_port_that_no_outgoing_connection_gets(job_id: str) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert ports.port_of(job_id) == ports.port_of(job_id)
    assert 1024 < ports.port_of(job_id) < first


def test_a_taken_port_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free_port()
    with socket.socket() as holder:
        holder.bind((ports.LOOPBACK, port))
        holder.listen()
        monkeypatch.setattr(ports.random.SystemRandom, "sample", lambda self, among, count: [port])
        with pytest.raises(EnvironmentFault, match="no free port"):
            ports.free_port()
