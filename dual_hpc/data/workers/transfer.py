"""Messages between a data worker and its parent, over one Unix socket, and memory that goes with them.

A batch goes as a descriptor of anonymous memory, which the worker has written and the parent maps: it is copied once,
by the worker. Written, not mapped, there, it costs no page faults; it needs no room in /dev/shm and has no name, so
nothing remains when either side is killed. Both ends run the same code, one started by the other, so messages
are pickled.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.errors import EnvironmentFault

_LENGTH = struct.Struct("<Q")


def send(channel: socket.socket, message: Any, memory: int | None = None) -> None:
    """Send one message, and after it the descriptor of memory that the other end maps."""
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(_LENGTH.pack(len(payload)) + payload)
    if memory is not None:
        socket.send_fds(channel, [b"\0"], [memory])


def receive(channel: socket.socket) -> Any:
    """One message.

    Raises:
        EOFError: the other end is gone.
    """
    (size,) = _LENGTH.unpack(_receive(channel, _LENGTH.size))
    return pickle.loads(_receive(channel, size))


def memfd_from(size: int, contents: Iterable[tuple[int, memoryview]]) -> int:
    """Descriptor of `size` bytes of memory that hold the contents, each at its offset, and are zero elsewhere.

    Raises:
        EnvironmentFault: the machine does not give as much memory.
    """
    memory = os.memfd_create("dual_hpc-batch")
    try:
        os.ftruncate(memory, size)
        for offset, content in contents:
            while content:
                count = os.pwrite(memory, content, offset)
                content, offset = content[count:], offset + count
    except OSError as error:
        os.close(memory)
        raise EnvironmentFault(
            f"no memory for a batch of {size / 1e6:.0f} MB: {error.strerror}; lower data.micro_batch or data.workers"
        ) from error
    except BaseException:  # of whoever gives the contents
        os.close(memory)
        raise
    return memory


def map_memfd(channel: socket.socket, size: int) -> NDArray[np.uint8]:
    """The memory [size] that was sent with the message just received.

    Raises:
        EOFError: the other end is gone.
        EnvironmentFault: this process has too many open files.
    """
    import torch  # not in a worker, which loads this module

    try:
        sign, descriptors, _, _ = socket.recv_fds(channel, 1, 1, socket.MSG_CMSG_CLOEXEC)
    except OSError as error:
        raise EOFError from error
    if not sign:
        raise EOFError
    if not descriptors:
        raise EnvironmentFault("too many open files to receive a batch: raise the limit (ulimit -n)")
    try:
        # Unlike the standard library's, this mapping keeps no descriptor: as many batches may live as memory holds.
        return torch.from_file(f"/proc/self/fd/{descriptors[0]}", False, size, dtype=torch.uint8).numpy()
    finally:
        os.close(descriptors[0])


def _receive(channel: socket.socket, size: int) -> memoryview:
    buffer = memoryview(bytearray(size))
    rest = buffer
    while rest:
        try:
            received = channel.recv_into(rest)
        except OSError as error:
            raise EOFError from error
        if not received:
            raise EOFError
        rest = rest[received:]
    return buffer
