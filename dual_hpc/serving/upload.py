"""A form with one recording, written to a file while it arrives: in bounded memory, and never more than allowed."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from dual_hpc.printable import printable
from dual_hpc.serving.form_pieces import body_pieces
from dual_hpc.serving.limits import Limits, size_text
from dual_hpc.serving.options import FILE, HOW, check_name
from dual_hpc.serving.replies import Refusal
from dual_hpc.token_required import Receive

_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}")
_PARTS = 64


@dataclass
class Upload:
    """What a form has brought.

    Attributes:
        path: where the recording lies; of what the client calls it, only the ending.
        name: what the client calls it, without folders; for people.
        size: bytes.
        fields: the other fields, as they were sent.
    """

    path: Path
    name: str = ""
    size: int = 0
    fields: dict[str, str] = field(default_factory=dict)


def boundary_of(headers: Mapping[str, str], limits: Limits) -> bytes:
    """What separates the parts of a form, from the headers of a request, before anything of it is read.

    Raises:
        Refusal: it is no form, or longer than allowed.
    """
    kind, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get("boundary", "")
    if kind.lower() != "multipart/form-data":
        raise Refusal(415, f"Content-Type: {kind or 'nothing'}: {HOW}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "Content-Encoding: send the form as it is, not compressed")
    if not 1 <= len(boundary) <= 200 or not boundary.isascii():
        raise Refusal(400, "Content-Type: multipart/form-data has no boundary; leave the header to your client")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limits.upload + limits.form:
        raise too_large(limits)
    return boundary.encode()


def too_large(limits: Limits) -> Refusal:
    """Of a recording that is larger than allowed."""
    return Refusal(413, f"the recording is larger than the {size_text(limits.upload)} that this server takes")


async def receive_upload(
    receive: Receive, headers: Mapping[str, str], folder: Path, limits: Limits, deadline: float
) -> Upload:
    """Take a form; what was written of it lies in `folder`, which the caller deletes.

    Args:
        deadline: of the event loop's clock.

    Raises:
        Refusal: it is no form with one recording and known options, too large or too slow.
        ConnectionError: the client has hung up.
    """
    boundary = boundary_of(headers, limits)
    decoder = MultipartDecoder(boundary, limits.form, max_parts=_PARTS)
    taken = _Form(folder, limits)
    try:
        async for piece in body_pieces(receive, boundary, limits, deadline):
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                taken.take(event)
        decoder.receive_data(None)
        while not isinstance(event := decoder.next_event(), Epilogue):
            taken.take(event)
        return taken.finish()
    except RequestEntityTooLarge as error:
        raise Refusal(400, "the form has too many parts, or one with too long a head") from error
    except (ValueError, AttributeError) as error:  # of the parser, at what is no form
        raise Refusal(400, f"the form cannot be read, or ends in the middle of a part; {HOW}") from error
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        status = 507 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 500
        raise Refusal(status, f"the recording cannot be kept while it is answered: {error.strerror}") from error
    finally:
        taken.close()


class _Form:
    """The parts of a form, in the order in which they arrive."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._upload, self._folder, self._limits = Upload(folder / FILE), folder, limits
        self._open = contextlib.ExitStack()
        self._file: BinaryIO | None = None
        self._at: Field | File | None = None
        self._texts: dict[str, bytearray] = {}
        self._length = 0

    def take(self, event: object) -> None:
        """One event of the parser."""
        if isinstance(event, File):
            self._begin_file(event)
        elif isinstance(event, Field):
            self._begin_field(event)
        elif isinstance(event, Data) and isinstance(self._at, File):
            self._upload.size += len(event.data)
            if self._upload.size > self._limits.upload:
                raise too_large(self._limits)
            if self._file is not None:
                self._file.write(event.data)
        elif isinstance(event, Data) and self._at is not None:
            self._length += len(event.data)
            if self._length > self._limits.text:
                raise Refusal(413, f"{self._at.name}: the options are longer than {self._limits.text:,} bytes")
            self._texts[self._at.name] += event.data

    def _begin_file(self, event: File) -> None:
        name = event.filename.replace("\\", "/").rpartition("/")[2]
        if event.name != FILE:
            raise Refusal(400, f"{printable(event.name, 60)}: the field of the recording is called {FILE}; {HOW}")
        if self._file is not None:
            raise Refusal(400, "two files: send one recording with each request")
        self._at = event
        ending = Path(name).suffix
        self._upload.path = self._folder / f"recording{ending if _ENDING.fullmatch(ending) else ''}"
        self._upload.name = printable(name, 255)
        self._file = self._open.enter_context(self._upload.path.open("xb"))

    def _begin_field(self, event: Field) -> None:
        name = event.name or ""
        if name == FILE:
            raise Refusal(400, f"{FILE}: is text, or the path of a file, and not a recording; {HOW}")
        check_name(name)
        if name in self._texts:
            raise Refusal(400, f"{name}: is there twice")
        self._at = event
        self._texts[name] = bytearray()

    def finish(self) -> Upload:
        """What has come, when all has come.

        Raises:
            Refusal: no recording, or nothing in it.
        """
        if self._file is None or (not self._upload.size and not self._upload.name):
            raise Refusal(400, f"{FILE}: there is no recording; {HOW}")
        if not self._upload.size:
            raise Refusal(400, f"{self._upload.name}: is empty")
        self._upload.name = self._upload.name or "recording"
        try:
            self._upload.fields = {name: bytes(value).decode() for name, value in self._texts.items()}
        except UnicodeDecodeError as error:
            raise Refusal(400, "the options are not UTF-8") from error
        return self._upload

    def close(self) -> None:
        """The file; what is in it stays."""
        self._open.close()
