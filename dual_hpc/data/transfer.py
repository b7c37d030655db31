"""Messages and arrays between a data worker and its parent, over one Unix socket.

Arrays travel in anonymous shared memory (memfd) whose descriptor rides on the message: nothing is copied, nothing is
left in /dev/shm when either side is killed, and no lock is shared that a dead worker could keep. Both ends run this
code and are born from one process, so the messages are pickled.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_HEADER = struct.Struct("<Q")
_ALIGN = 64  # bytes
Layout = dict[str, tuple[tuple[int, ...], DTypeLike]]  # name -> (shape, dtype)
Places = dict[str, tuple[int, tuple[int, ...], str]]  # name -> (offset in bytes, shape, dtype)


class SharedArrays:
    """Zeroed arrays in one piece of anonymous shared memory."""

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self.places: Places = {}

    def allocate(self, layout: Layout) -> dict[str, NDArray[Any]]:
        """Arrays of the given shapes and dtypes."""
        end = 0
        for name, (shape, dtype) in layout.items():
            self.places[name] = (end, shape, np.dtype(dtype).str)
            end += -(-np.dtype(dtype).itemsize * int(np.prod(shape)) // _ALIGN) * _ALIGN
        self.descriptor = os.memfd_create("dual_hpc-batch", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, max(end, 1))
        return _views(mmap.mmap(self.descriptor, 0), self.places)

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


def view(descriptor: int, places: Places) -> dict[str, NDArray[Any]]:
    """The arrays in a piece of shared memory that came from a worker. They alone keep it alive: no descriptor is held.

    Python's own mmap would hold one for each batch that the caller keeps (until 3.13); torch's does not.
    """
    import torch

    size = os.fstat(descriptor).st_size
    memory = torch.from_file(f"/proc/self/fd/{descriptor}", shared=True, size=size, dtype=torch.uint8)
    return _views(memory.numpy(), places)


def _views(memory: Any, places: Places) -> dict[str, NDArray[Any]]:
    return {
        name: np.frombuffer(memory, dtype, int(np.prod(shape)), offset).reshape(shape)
        for name, (offset, shape, dtype) in places.items()
    }


def send(channel: socket.socket, message: Any, descriptor: int | None = None) -> None:
    """Send one message, with a descriptor if given."""
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    header = _HEADER.pack(len(payload))
    if descriptor is None:
        channel.sendall(header + payload)
    else:
        socket.send_fds(channel, [header], [descriptor])
        channel.sendall(payload)


def receive(channel: socket.socket) -> tuple[Any, int | None]:
    """One message and the descriptor that came with it.

    Raises:
        EOFError: the other end is gone.
    """
    descriptors: list[int] = []
    try:
        header, descriptors, _, _ = socket.recv_fds(channel, _HEADER.size, 1)
        while len(header) < _HEADER.size:
            header += _some(channel, _HEADER.size - len(header))
        (size,) = _HEADER.unpack(header)
        payload = bytearray()
        while len(payload) < size:
            payload += _some(channel, size - len(payload))
    except (EOFError, OSError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise EOFError from error
    return pickle.loads(payload), descriptors[0] if descriptors else None


def _some(channel: socket.socket, size: int) -> bytes:
    data = channel.recv(min(size, 1 << 20))
    if not data:
        raise EOFError
    return data
