"""What `dual-hpc ui` would start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from launch.cli import main as command


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "mlflow.db").touch()
    return str(tmp_path)


def test_a_port_that_is_taken_or_no_port_is_refused(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        for port, said in (
            (number, f"--port {number} is taken"),
            (99999, "between 0 and 65535"),
            (-1, "between 0 and 65535"),
        ):
            assert command.main(["ui", "--print", "--store", store, "--port", str(port)]) == 2
            line = capfd.readouterr().err
            assert said in line and line.count("\n") == 1


def test_without_a_port_one_that_is_free_is_taken(store: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(["ui", "--print", "--store", store]) == 0
    printed = capfd.readouterr().out
    assert "--host 127.0.0.1 --port " in printed
