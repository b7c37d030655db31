"""A rank that runs out of a GPU's memory leaves what was in it beside its log; torch's functions are pretended here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.run.names import memory_snapshot
from dual_hpc.training.memory_snapshot import EVENTS, snapshot_when_out_of_memory

CUDA = torch.device("cuda", 0)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.cuda.memory, "_record_memory_history", lambda **named: calls.append(named))
    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", lambda path: Path(path).write_text("blocks"))
    return calls


@pytest.mark.parametrize("history", [False, True])
def test_out_of_memory_leaves_a_snapshot_beside_the_log(
    tmp_path: Path, recorded: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], history: bool
) -> None:
    with (
        pytest.raises(torch.OutOfMemoryError, match="tried to allocate"),
        snapshot_when_out_of_memory(tmp_path, 3, CUDA, history),
    ):
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")
    assert [file.name for file in tmp_path.iterdir()] == [memory_snapshot(3)]
    assert recorded == ([{"max_entries": EVENTS, "stacks": "python"}] if history else [])
    assert str(tmp_path / memory_snapshot(3)) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("device", "error"), [(CUDA, ValueError("x")), (torch.device("cpu"), torch.OutOfMemoryError("x"))]
)
def test_other_errors_and_other_devices_leave_none(
    tmp_path: Path, recorded: list[dict[str, Any]], device: torch.device, error: Exception
) -> None:
    with pytest.raises(type(error)), snapshot_when_out_of_memory(tmp_path, 0, device, False):
        raise error
    assert not list(tmp_path.iterdir()) and not recorded


def test_a_snapshot_that_cannot_be_written_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: str) -> None:
        Path(path).write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", full)
    with pytest.raises(torch.OutOfMemoryError), snapshot_when_out_of_memory(tmp_path, 0, CUDA, False):
        raise torch.OutOfMemoryError("tried to allocate")
    assert not list(tmp_path.iterdir())
    assert "no snapshot of the GPU's memory: No space left" in capsys.readouterr().err
