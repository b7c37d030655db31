"""Messages and arrays between a data worker and its parent, over one Unix socket.

Arrays follow their message as raw bytes, received straight into place. For batches of this size that costs no more
than shared memory does in page faults, needs no room in /dev/shm, leaves nothing behind when either side is killed, and
shares no lock that a dead worker could keep. Both ends run this code and are born from one process, so messages are
pickled.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q")
Arrays = dict[str, NDArray[Any]]


def send(channel: socket.socket, message: Any, arrays: Arrays | None = None) -> None:
    """Send one message, with C-contiguous arrays if given."""
    arrays = arrays or {}
    layout = [(name, array.shape, array.dtype.str) for name, array in arrays.items()]
    payload = pickle.dumps((message, layout), protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(_LENGTH.pack(len(payload)) + payload)
    for array in arrays.values():
        channel.sendall(_bytes(array))


def receive(channel: socket.socket) -> tuple[Any, Arrays]:
    """One message and the arrays that came with it.

    Raises:
        EOFError: the other end is gone.
    """
    (size,) = _LENGTH.unpack(_fill(channel, bytearray(_LENGTH.size)))
    message, layout = pickle.loads(_fill(channel, bytearray(size)))
    arrays: Arrays = {}
    for name, shape, dtype in layout:
        arrays[name] = np.empty(shape, dtype)
        _fill(channel, _bytes(arrays[name]))
    return message, arrays


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _fill(channel: socket.socket, buffer: bytearray | memoryview) -> bytearray | memoryview:
    rest = memoryview(buffer)
    while rest:
        try:
            received = channel.recv_into(rest)
        except OSError as error:
            raise EOFError from error
        if not received:
            raise EOFError
        rest = rest[received:]
    return buffer
