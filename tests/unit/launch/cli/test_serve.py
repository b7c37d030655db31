"""`dual-hpc serve` listens for this machine alone, and refuses what it cannot do in one line."""

from __future__ import annotations

import socket

import pytest

from launch.cli.main import main
from launch.cli.serve import check_host, machine_names


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: other machines could connect; add --public"),
        (["--host", "::"], "--host ::: other machines could connect"),
        (["--max-upload", "lots"], "--max-upload: 'lots' is not a size"),
        (["--timeout", "0"], "--timeout 0: must be"),
        (["--timeout", "nan"], "--timeout nan: must be"),
        (["--max-requests", "0"], "--max-requests 0: must be"),
        (["--port", "70000"], "--port 70000: must be"),
        (["--window", "wide"], "--window: must be seconds, or whole"),
        (["--hop", "-1"], "--hop: "),
        (["--speech", "2"], "--speech: "),
        (["--unsure", "1"], "--unsure: "),
        ([], "--model: nothing is not a folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--model", "nothing", *options]) == 2
    assert words in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused(saved_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--model", str(saved_model), "--port", str(port)]) == 2
    assert f"--port {port} is taken" in capsys.readouterr().err


def test_an_address_of_another_machine_is_refused(saved_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--model", str(saved_model), "--public", "--host", "192.0.2.1"]) == 2
    assert "--host 192.0.2.1: this machine has no such address" in capsys.readouterr().err


def test_other_machines_are_let_in_with_a_warning_only(capsys: pytest.CaptureFixture[str]) -> None:
    check_host("127.0.0.1", public=False)
    assert not capsys.readouterr().err
    check_host("0.0.0.0", public=True)
    assert "warning: --host 0.0.0.0" in capsys.readouterr().err
    assert socket.gethostname() in machine_names("0.0.0.0")
