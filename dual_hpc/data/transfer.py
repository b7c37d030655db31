"""Messages and arrays between a data worker and its parent, over one Unix socket.

Arrays follow their message as raw bytes and are received straight into their places in a batch. For batches of this
size that costs no more than shared memory does in page faults, needs no room in /dev/shm, leaves nothing behind when
either side is killed, and shares no lock that a dead worker could keep. Both ends run this code and are born from one
process, so messages are pickled.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q")


def send(channel: socket.socket, message: Any, arrays: Iterable[NDArray[Any]] = ()) -> None:
    """Send one message, and the bytes of arrays (none empty) that the other end will `fill` in."""
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(_LENGTH.pack(len(payload)) + payload)
    for array in arrays:
        channel.sendall(np.ascontiguousarray(array).data.cast("B"))


def receive(channel: socket.socket) -> Any:
    """One message.

    Raises:
        EOFError: the other end is gone.
    """
    (size,) = _LENGTH.unpack(_fill(channel, memoryview(bytearray(_LENGTH.size))))
    return pickle.loads(_fill(channel, memoryview(bytearray(size))))


def fill(channel: socket.socket, arrays: Iterable[NDArray[Any]]) -> None:
    """Receive the bytes of arrays, in the order, shapes and types in which they were sent; C-contiguous, none empty.

    Raises:
        EOFError: the other end is gone.
    """
    for array in arrays:
        _fill(channel, array.data.cast("B"))


def _fill(channel: socket.socket, buffer: memoryview) -> memoryview:
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
