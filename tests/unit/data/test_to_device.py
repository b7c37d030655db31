"""Copies to a device, with a pretended one: what is asked of which stream, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from dual_hpc.data.to_device import ToDevice
from dual_hpc.host_values import host_values

CUDA = torch.device("cuda", 1)


class Device:
    """Records what happens, and on which stream."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.stream = "compute"
        device = self

        class Stream:
            def __init__(self, where: torch.device) -> None:
                device.log.append(("stream on", where))

            def __str__(self) -> str:
                return "copies"

        class Event:
            def record(self, stream: Stream) -> None:
                device.log.append(("record", str(stream)))

        class Compute:
            def wait_event(self, event: Event) -> None:
                device.log.append(("compute waits",))

        @contextmanager
        def on(stream: Stream) -> Iterator[None]:
            device.stream = str(stream)
            yield
            device.stream = "compute"

        def pin(tensor: torch.Tensor) -> torch.Tensor:
            device.log.append(("pin", device.stream))
            return tensor

        def to(tensor: torch.Tensor, where: torch.device, non_blocking: bool) -> torch.Tensor:
            assert where == CUDA and non_blocking
            device.log.append(("copy", device.stream))
            return tensor

        def used(tensor: torch.Tensor, stream: Any) -> None:
            device.log.append(("used", type(stream).__name__))

        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "stream", on)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda where: Compute())
        for name, stand_in in {"pin_memory": pin, "to": to, "record_stream": used}.items():
            monkeypatch.setattr(torch.Tensor, name, stand_in)


def test_copies_run_on_a_stream_of_their_own_which_the_user_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    device, to_device = Device(monkeypatch), ToDevice(CUDA)
    batch = {"waveform": torch.ones(2, 3), "labels": torch.zeros(2), "keys": ["a", "b"]}
    on_its_way = to_device.copy(batch)
    assert device.log == [("stream on", CUDA), *[("pin", "copies"), ("copy", "copies")] * 2, ("record", "copies")]
    device.log.clear()
    handed_over = to_device.hand_over(on_its_way)
    assert device.log == [("compute waits",), ("used", "Compute"), ("used", "Compute")]
    assert handed_over.keys() == batch.keys() and handed_over["keys"] == ["a", "b"]


def test_what_is_small_is_known_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    device, to_device = Device(monkeypatch), ToDevice(CUDA)
    batch = {"frame_lengths": torch.tensor([3, 0]), "attention_mask": torch.eye(2), "frames": torch.ones(2, 2)}
    handed_over = to_device.hand_over(to_device.copy(batch))
    asked: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: asked.append(tensor) or [])
    assert host_values(handed_over["frame_lengths"]) == [3, 0]
    assert host_values(handed_over["attention_mask"]) == [[1.0, 0.0], [0.0, 1.0]]
    host_values(handed_over["frames"])
    assert len(asked) == 1 and device.stream == "compute"


@pytest.mark.parametrize("where", [None, torch.device("cpu")])
def test_without_a_device_a_batch_stays_what_it_is(where: torch.device | None) -> None:
    batch = {"waveform": torch.ones(2, 3), "keys": ["a", "b"]}
    to_device = ToDevice(where)
    assert to_device.hand_over(to_device.copy(batch)) is batch


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_on_a_device_are_what_they_were() -> None:
    to_device = ToDevice(torch.device("cuda", 0))
    frames = torch.randint(0, 256, (2, 5, 8, 8, 3), dtype=torch.uint8).permute(0, 1, 4, 2, 3)
    for _ in range(3):
        handed_over = to_device.hand_over(to_device.copy({"frames": frames, "keys": ["a"]}))
        assert handed_over["frames"].stride() == frames.stride() and torch.equal(handed_over["frames"].cpu(), frames)
