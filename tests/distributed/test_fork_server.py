"""A forked rank is a process like any other: arguments, environment, output, exit code, death."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.fork_server import ForkServer

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    fork_server = ForkServer(imports=(), COLOUR="red")
    yield fork_server
    fork_server.close()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Says who it is and does as its argument says."""
    path = tmp_path / "rank.py"
    path.write_text(
        "import os, sys, time\n"
        "print(sys.argv[1], os.environ['RANK'], os.environ['COLOUR'], __name__, os.getpid(), flush=True)\n"
        "if sys.argv[1] == 'sleep':\n    time.sleep(600)\n"
        "if sys.argv[1] == 'fail':\n    raise ValueError('on purpose')\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    return path


def test_a_rank_has_its_own_arguments_environment_output_and_exit_code(
    fork_server: ForkServer, script: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / str(rank) for rank in range(3)]
    ranks = [
        fork_server.start(script, [word], {"RANK": str(number)}, outputs[number])
        for number, word in enumerate((0, 3, "fail"))
    ]
    assert [rank.wait(300) for rank in ranks] == [0, 3, 1]
    for number, word in enumerate(("0", "3", "fail")):
        said = outputs[number].read_text().splitlines()
        assert said[0] == f"{word} {number} red __main__ {ranks[number].pid}"
        assert (said[-1] == "ValueError: on purpose") == (word == "fail")


def test_a_killed_rank_does_not_end_the_others(fork_server: ForkServer, script: Path, tmp_path: Path) -> None:
    first, second = (fork_server.start(script, ["sleep"], {"RANK": "0"}, tmp_path / "out") for _ in range(2))
    first.kill()
    assert first.wait(300) == -signal.SIGKILL and second.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.1)
    first.kill()  # nothing: it has ended
    second.send_signal(signal.SIGTERM)
    assert second.wait(300) == -signal.SIGTERM


def test_ranks_end_with_their_fork_server(script: Path, tmp_path: Path) -> None:
    fork_server = ForkServer(imports=(), COLOUR="red")
    rank = fork_server.start(script, ["sleep"], {"RANK": "0"}, tmp_path / "out")
    fork_server.close()
    assert rank.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(rank.pid, 0)
