"""Ports for the ranks' rendezvous, outside the range of outgoing connections: none is taken between choice and use."""

from __future__ import annotations

import random
import socket

from dual_hpc.errors import EnvironmentFault

PORTS = range(12_000, 28_000)
LOOPBACK = "127.0.0.1"


def port_of(job_id: str) -> int:
    """The rendezvous port that all ranks of a job derive from its id."""
    return PORTS[int("".join(filter(str.isdecimal, job_id)) or 0) % len(PORTS)]


def free_port() -> int:
    """A port of this machine that no process listens at.

    Raises:
        EnvironmentFault: none was found.
    """
    for port in random.SystemRandom().sample(PORTS, 100):  # not the job's seed: two jobs may share it
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise EnvironmentFault(f"no free port between {PORTS.start} and {PORTS.stop} on {LOOPBACK}")
