"""A server as its users start it, on a small model, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from dual_hpc.serving.model_process import ModelProcess
from dual_hpc.serving.worker import ModelSource
from tests.unit.inference.conftest import write_clip

BOUNDARY = "x-part-of-a-form"
MAX_UPLOAD = 20_000_000


def form(parts: list[tuple[str, str | None, bytes]], boundary: str = BOUNDARY) -> bytes:
    """A form of (name, name of the file or None, content)."""
    body = b""
    for name, file, content in parts:
        more = "" if file is None else f'; filename="{file}"'
        body += (
            f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"
        )
    return body + f"--{boundary}--\r\n".encode()


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        scratch: the folder in which it may make temporary files.
    """

    process: subprocess.Popen[str]
    port: int
    scratch: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, body: bytes | None = None, method: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, JSON and headers of what it says."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **named}
        request = Request(self.address + path, body, named, method=method)
        try:
            reply = urlopen(request, timeout=120)
        except HTTPError as error:
            reply = error
        with reply:
            return (
                reply.status,
                json.loads(reply.read()),
                {name.lower(): value for name, value in reply.headers.items()},
            )

    def predict(self, file: Path, **options: str) -> dict[str, Any]:
        """The answer for a recording."""
        parts: list[tuple[str, str | None, bytes]] = [(name, None, text.encode()) for name, text in options.items()]
        status, answer, _ = self.ask("/predict", form([*parts, ("file", file.name, file.read_bytes())]))
        assert status == 200, answer
        return answer

    def raw(self, body: bytes) -> str:
        """What it says to a client that sends all of a form before it listens."""
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {len(body)}\r\n"
            head += f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
            line.sendall(head.encode() + body)
            return b"".join(iter(lambda: line.recv(1 << 16), b"")).decode()

    def most_memory(self) -> int:
        """Bytes that the server's process has had in memory at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return 1024 * int(found[1])

    def uploads(self) -> list[Path]:
        """What lies in its temporary folders."""
        return [path for path in self.scratch.rglob("*") if path.is_file()]


def start(model: Path, scratch: Path, *options: str) -> Running:
    """Start a server and wait until it answers."""
    words = [sys.executable, "-m", "launch.cli.main", "serve", "--model", str(model), "--device", "cpu", *options]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://\S+:(\d+)/", line):
            process.stdout.readline(), process.stdout.readline()
            return Running(process, int(found[1]), scratch)
    raise AssertionError(said)


def end(server: Running) -> str:
    """As Ctrl-C; what it said."""
    server.process.send_signal(signal.SIGINT)
    said, _ = server.process.communicate(timeout=60)
    return said


@pytest.fixture(scope="session")
def server(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(saved_model, tmp_path_factory.mktemp("scratch"), "--max-upload", "20MB", "--timeout", "120")
    try:
        yield running
    finally:
        end(running)


@pytest.fixture(scope="session")
def model(saved_model: Path) -> Iterator[ModelProcess]:
    """The small model in a process of its own, which a test may end."""
    process = ModelProcess(ModelSource(saved_model, "cpu"))
    facts = process.start()
    assert (facts.labels[0], facts.max_seconds, facts.window, facts.hop) == ("angry", 2.0, 2.0, 1.0)
    yield process
    process.close()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """both.mp4, talk.mp4 (8 s), minute.mp4, sound.wav, notes.txt, empty.mp4."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "both.mp4", 1.2)
    write_clip(folder / "talk.mp4", 8.0)
    write_clip(folder / "minute.mp4", 60.0)
    write_clip(folder / "sound.wav", 0.8, video=False)
    (folder / "notes.txt").write_text("this is no media\n" * 50)
    (folder / "empty.mp4").write_bytes(b"")
    return folder
