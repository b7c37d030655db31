"""Uploads arrive whole, whatever pieces they come in, and never cost more than allowed."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.serving.limits import Limits
from dual_hpc.serving.replies import Refusal
from dual_hpc.serving.upload import Upload, receive_upload
from tests.unit.serving.conftest import BOUNDARY, form

HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
END = f"\r\n--{BOUNDARY}--\r\n"
LIMITS = Limits(upload=1000, idle=0.2, seconds=5)


def take(
    pieces: Iterator[bytes] | list[bytes],
    folder: Path,
    headers: dict[str, str] = HEADERS,
    limits: Limits = LIMITS,
    hangs: bool = False,
) -> Upload:
    """What comes of a request whose body arrives in these pieces; `hangs`: after them, nothing does."""
    left = iter(pieces)

    async def receive() -> dict[str, Any]:
        piece = next(left, None)
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        if hangs:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def run() -> Upload:
        return await receive_upload(
            receive, headers, folder, limits, asyncio.get_running_loop().time() + limits.seconds
        )

    return asyncio.run(run())


@given(st.binary(min_size=1, max_size=600), st.lists(st.integers(1, 60), min_size=1, max_size=60), st.booleans())
def test_every_content_arrives_whatever_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, sizes: list[int], awkward: bool
) -> None:
    if awkward:  # what looks like the end of a part, and is none
        content = b"\r\n--x-part\r\n-" + content + b"\r\n--" + BOUNDARY.encode()[:-1]
    body = form([("window", None, b"4"), ("file", "a.mp4", content), ("hop", None, b"2")])
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        pieces.append(body[at : at + sizes[len(pieces) % len(sizes)]])
        at += len(pieces[-1])
    found = take(pieces, tmp_path_factory.mktemp("a"))
    assert found.path.read_bytes() == content and found.size == len(content)
    assert found.fields == {"window": "4", "hop": "2"} and found.name == "a.mp4"


@pytest.mark.parametrize(
    ("sent", "name", "ending"),
    [
        ("../../etc/passwd.mp4", "passwd.mp4", ".mp4"),
        ("C:\\\\films\\\\a.avi", "a.avi", ".avi"),
        ("a.mp4;rm -rf", "a.mp4;rm -rf", ""),
        ("/", "recording", ""),
        ("..", "..", ""),
        ("видео.webm", "видео.webm", ".webm"),
        ("x.php%00.mp4", "x.php%00.mp4", ".mp4"),
    ],
)
def test_of_a_name_only_the_ending_reaches_the_disk(tmp_path: Path, sent: str, name: str, ending: str) -> None:
    found = take([form([("file", sent, b"x")])], tmp_path)
    assert (found.name, found.path) == (name, tmp_path / f"recording{ending}")
    assert list(tmp_path.iterdir()) == [found.path]


REFUSED: dict[str, tuple[int, str, list[tuple[str, str | None, bytes]]]] = {
    "nothing": (400, "no recording", []),
    "options only": (400, "no recording", [("window", None, b"4")]),
    "an empty file": (400, "a.mp4: is empty", [("file", "a.mp4", b"")]),
    "an empty choice": (400, "no recording", [("file", "", b"")]),
    "a path": (400, "path of a file", [("file", None, b"/etc/passwd")]),
    "an address": (400, "path of a file", [("file", None, b"http://a/b.mp4")]),
    "two files": (400, "two files", [("file", "a.mp4", b"x"), ("file", "b.mp4", b"y")]),
    "another field": (400, "called file", [("clip", "a.mp4", b"x")]),
    "an unknown option": (400, "did you mean window", [("windo", None, b"4"), ("file", "a.mp4", b"x")]),
    "an option twice": (400, "there twice", [("hop", None, b"4"), ("hop", None, b"5"), ("file", "a.mp4", b"x")]),
    "not UTF-8": (400, "UTF-8", [("text", None, b"\xff\xfe"), ("file", "a.mp4", b"x")]),
    "too large": (413, "larger than the 1 kB", [("file", "a.mp4", b"x" * 1001)]),
    "a novel": (413, "text: ", [("text", None, b"x" * 70_000), ("file", "a.mp4", b"x")]),
    "an option without a name": (400, "is no option", [("", None, b"")]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_that_is_no_recording_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    status, words, parts = REFUSED[name]
    with pytest.raises(Refusal) as refused:
        take([form(parts)], tmp_path)
    assert refused.value.status == status and words in refused.value.message and "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"content-type": "video/mp4"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data"}, 400),
        ({"content-type": "multipart/form-data; boundary="}, 400),
        ({"content-type": f"multipart/form-data; boundary={'x' * 300}"}, 400),
        ({"content-type": "multipart/mixed; boundary=x"}, 415),
        ({**HEADERS, "content-encoding": "gzip"}, 415),
        ({**HEADERS, "content-length": "2000000000"}, 413),
        ({**HEADERS, "content-length": "9" * 400}, 413),
    ],
)
def test_a_head_that_says_enough_is_refused_before_anything_is_read(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    def body() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    with pytest.raises(Refusal) as refused:
        take(body(), tmp_path, headers)
    assert refused.value.status == status


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.7, 0.8, 0.9, 0.97])
def test_a_form_that_breaks_off_is_refused(tmp_path: Path, share: float) -> None:
    whole = form([("file", "a.mp4", b"some content")])
    with pytest.raises(Refusal) as refused:
        take([whole[: int(share * len(whole))]], tmp_path)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "garbage", [b"garbage", b"\0" * 5000, b"--" + BOUNDARY.encode() + b"\r\n\r\n\r\n", b"\r\n" * 900]
)
def test_garbage_is_refused(tmp_path: Path, garbage: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        take([garbage], tmp_path)
    assert refused.value.status == 400


def test_a_client_that_falls_silent_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"nothing came for 0\.2 s") as refused:
        take([form([("file", "a.mp4", b"some content")])[: -len(END)]], tmp_path, hangs=True)
    assert refused.value.status == 408


def test_a_client_that_drips_has_a_time_limit(tmp_path: Path) -> None:
    limits = Limits(upload=10**9, idle=5, seconds=0.3)

    def drops() -> Iterator[bytes]:
        yield form([("file", "a.mp4", b"x")])[: -len(END)]
        while True:
            yield b"x"

    with pytest.raises(Refusal, match=r"it took 0\.3 s") as refused:
        take(drops(), tmp_path, limits=limits)
    assert refused.value.status == 408


@pytest.mark.parametrize("where", ["file", "text", "preamble", "head"])
def test_two_gigabytes_without_a_length_cost_neither_memory_nor_disk(tmp_path: Path, where: str) -> None:
    begin = {
        "file": form([("file", "a.mp4", b"x")])[: -len(END)],
        "text": form([("text", None, b"x")])[: -len(END)],
        "preamble": b"",
        "head": f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="'.encode(),
    }[where]
    piece, sent = b"x" * (1 << 18), 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield begin
        while sent < 2 * 10**9:
            sent += len(piece)
            yield piece

    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as refused:
            take(endless(), tmp_path, limits=Limits(upload=3_000_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.status == (400 if where in ("preamble", "head") else 413)
    assert sent < 5_000_000 and peak < 8_000_000
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3_000_000
