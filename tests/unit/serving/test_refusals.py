"""What the server does not answer costs little, and gets one clear line of JSON with a status of its own."""

from __future__ import annotations

import json
import select
import socket
import threading
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.conftest import BOUNDARY, MAX_UPLOAD, Running, form

MUCH = 2 * 10**9  # bytes that a client would send
PIECE = b"\x00" * (1 << 20)

REFUSED: dict[str, tuple[int, str, list[tuple[str, str | None, bytes]]]] = {
    "nothing": (400, "there is no recording", []),
    "a path": (400, "reads no file", [("path", None, b"/etc/passwd")]),
    "a path as the file": (400, "path of a file", [("file", None, b"/etc/passwd")]),
    "an address": (400, "reads no file", [("url", None, b"http://169.254.169.254/")]),
    "garbage": (422, "a.mp4: cannot be read as audio or video", [("file", "a.mp4", b"\x00\x01garbage" * 500)]),
    "a text": (422, "notes.txt: ", [("file", "notes.txt", b"this is no media\n" * 50)]),
    "a play list": (422, "cannot be read", [("file", "a.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")]),
    "a page": (422, "a.mp4: ", [("file", "a.mp4", b"<!doctype html><html><body>no</body></html>")]),
    "empty": (400, "a.mp4: is empty", [("file", "a.mp4", b"")]),
    "a bad option": (400, "window: 99 is not between", [("window", None, b"99"), ("file", "a.mp4", b"x")]),
    "a hop without windows": (400, "hop: ", [("window", None, b"whole"), ("hop", None, b"1"), ("file", "a.mp4", b"x")]),
    "unmeasured": (
        400,
        "unsure: this model's confidence was not measured",
        [("unsure", None, b"0.2"), ("file", "a", b"x")],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line_of_json(server: Running, name: str) -> None:
    status, words, parts = REFUSED[name]
    found, answer, headers = server.ask("/predict", form(parts))
    assert (found, answer["status"]) == (status, status) and words in answer["error"]
    assert headers["content-type"] == "application/json"
    assert str(server.scratch) not in answer["error"] and "recording." not in answer["error"]


def test_other_kinds_of_content_are_refused(server: Running) -> None:
    for kind in ("application/json", "video/mp4", "application/x-www-form-urlencoded", "text/plain"):
        status, answer, _ = server.ask("/predict", b'{"path": "/etc/passwd"}', content_type=kind)
        assert status == 415 and kind in answer["error"] and "multipart/form-data" in answer["error"]


def test_other_addresses_and_methods_are_refused(server: Running) -> None:
    for path, method, status in (
        ("/nothing", "GET", 404),
        ("/../../etc/passwd", "GET", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", "GET", 404),
        ("/predict", "GET", 405),
        ("/predict", "OPTIONS", 405),
        ("/", "POST", 405),
        ("/health", "DELETE", 405),
    ):
        found, answer, headers = server.ask(path, method=method)
        assert found == status and answer["error"]
        assert not [name for name in headers if name.startswith("access-control")]
    assert server.ask("/predict?path=/etc/passwd", form([]))[0] == 400


def test_other_names_and_pages_are_refused(server: Running, clips: Path) -> None:
    body = form([("file", "both.mp4", (clips / "both.mp4").read_bytes())])
    assert server.ask("/predict", body, Host="evil.example")[0] == 421
    assert server.ask("/model", Host="evil.example:8000")[0] == 421
    assert server.ask("/predict", body, Origin="http://evil.example")[0] == 403
    assert server.ask("/predict", body, Sec_Fetch_Site="cross-site")[0] == 403
    assert server.ask("/predict", body, Origin=server.address)[0] == 200


def test_every_reply_keeps_other_pages_out(server: Running) -> None:
    for path in ("/health", "/model", "/nothing"):
        headers = server.ask(path)[2]
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"] and headers["x-frame-options"] == "DENY"
    status, health, _ = server.ask("/health")
    assert (status, health["status"], health["requests"]) == (200, "ok", 0)


def sends_much(server: Running, *headers: str, chunked: bool = False) -> tuple[int, Any, int]:
    """(status, answer, bytes that were sent until then) for a client that would send two gigabytes."""
    begin = form([("file", "film.mp4", b"")])[: -len(f"\r\n--{BOUNDARY}--\r\n")]
    lines = ["POST /predict HTTP/1.1", "host: 127.0.0.1", f"content-type: multipart/form-data; boundary={BOUNDARY}"]
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall("\r\n".join([*lines, *headers, "", ""]).encode())
        line.settimeout(30)
        pieces = iter([begin])
        while sent < MUCH and not select.select([line], [], [], 0)[0]:
            piece = next(pieces, PIECE)
            try:
                line.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            except OSError:
                break
            sent += len(piece)
        reply = HTTPResponse(line)
        reply.begin()
        return reply.status, json.loads(reply.read()), sent


@pytest.mark.parametrize(
    ("headers", "chunked", "status"),
    [
        ((f"content-length: {MUCH}",), False, 413),
        (("transfer-encoding: chunked",), True, 413),
        (("content-length: 1000",), False, 400),
        ((), False, 400),
        ((f"content-length: {MAX_UPLOAD}",), False, 400),
    ],
    ids=["as it says", "chunked, without a length", "far more than it says", "without a word", "more than it says"],
)
def test_two_gigabytes_are_refused_early_in_bounded_memory(
    server: Running, headers: tuple[str, ...], chunked: bool, status: int
) -> None:
    server.ask("/health")
    before, largest = server.most_memory(), 0
    over = threading.Event()

    def watch() -> None:
        nonlocal largest
        while not over.wait(0.01):
            largest = max(largest, sum(path.stat().st_size for path in server.uploads() if path.exists()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    found, answer, sent = sends_much(server, *headers, chunked=chunked)
    over.set()
    watcher.join()
    assert (found, answer["status"]) == (status, status), answer
    assert sent <= MAX_UPLOAD + 40_000_000  # what the kernel's buffers of both sides hold is sent as well
    assert server.most_memory() - before < 30_000_000
    assert largest <= MAX_UPLOAD and not server.uploads()


def test_a_client_that_listens_only_when_it_has_sent_everything_reads_the_refusal(server: Running) -> None:
    body = form([("file", "film.mp4", PIECE * 60)])
    reply = server.raw(body)
    assert reply.startswith("HTTP/1.1 413 ") and "larger than the 20 MB" in reply
