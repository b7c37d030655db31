"""The body of a form, as it arrives, cut where the parser can take it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from dual_hpc.serving.limits import Limits
from dual_hpc.serving.replies import Refusal
from dual_hpc.token_required import Receive

_PIECE = 1 << 18  # bytes that are given to the parser at once
_AROUND = len(b"\r\n--") + len(b"--\r\n")  # what stands around the boundary in the longest delimiter


def without_half_delimiter(data: bytes, boundary: bytes) -> tuple[bytes, bytes]:
    """(what the parser may have, what waits for the next piece).

    Werkzeug 3.1 takes a part of the line break before a delimiter for content where a piece ends right behind its
    boundary: a recording would be one byte longer, or not, as the network had cut it. So nothing that may begin a
    delimiter is given to it before all of that is there.
    """
    tail = max(0, len(data) - len(boundary) - _AROUND)
    breaks = [at for at in (data.find(b"\r", tail), data.find(b"\n", tail)) if at >= 0]
    cut = min(breaks, default=len(data))
    return data[:cut], data[cut:]


async def body_pieces(receive: Receive, boundary: bytes, limits: Limits, deadline: float) -> AsyncIterator[bytes]:
    """The body of a request, in pieces that the parser can take one by one.

    Args:
        boundary: of the form.
        deadline: of the event loop's clock.

    Raises:
        Refusal: it does not arrive in time.
        ConnectionError: the client has hung up.
    """
    held = b""
    more, loop = True, asyncio.get_running_loop()
    while more:
        left = deadline - loop.time()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, min(limits.idle, left)))
        except TimeoutError:
            reason = f"nothing came for {limits.idle:g} s" if left > limits.idle else f"it took {limits.seconds:g} s"
            raise Refusal(408, f"the recording did not arrive: {reason}") from None
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client has hung up")
        body, more = message.get("body", b""), message.get("more_body", False)
        for at in range(0, len(body), _PIECE):
            ready, held = without_half_delimiter(held + body[at : at + _PIECE], boundary)
            yield ready
    yield held
