"""What a worker decoded arrives in its place of the batch, byte for byte."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.collate import collate
from dual_hpc.data.decoding.decoder import Sample
from dual_hpc.data.layout import batch_in, contents, lay_out
from dual_hpc.data.workers.transfer import map_memfd, memfd_from, receive, send
from dual_hpc.errors import EnvironmentFault

SIZE = 4
LAYOUT = {"audio": (3, "<f2"), "text": (2, "<f4")}


def a_sample(numbers: np.random.Generator, sound: int, pictures: int | None) -> Sample:
    frames = None if pictures is None else numbers.integers(0, 256, (pictures, SIZE, SIZE, 3), dtype=np.uint8)
    waveform = numbers.standard_normal(sound, dtype=np.float32)
    features = {
        name: numbers.standard_normal((length, width)).astype(dtype)
        for (name, (width, dtype)), length in zip(LAYOUT.items(), (sound, pictures), strict=True)
        if length is not None
    }
    # As augmentation may leave them: views in another order of memory.
    return Sample(1.0, waveform[::-1], None if frames is None else frames[:, :, ::-1], None, features)


@pytest.fixture
def channel() -> Iterator[Any]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close(), theirs.close()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 5)), min_size=1, max_size=6),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_batch_that_was_sent_equals_one_collated_here(lengths: Any, media: bool, seed: int) -> None:
    numbers = np.random.default_rng(seed)
    samples = [a_sample(numbers, *each) for each in lengths]
    features = {} if media else LAYOUT
    ours, theirs = socket.socketpair()
    layout = lay_out(samples, SIZE, features)
    memory = memfd_from(layout.size, contents(samples, layout))
    send(theirs, layout, memory)
    os.close(memory)
    told = receive(ours)
    batch = batch_in(map_memfd(ours, told.size), told)
    ours.close(), theirs.close()
    here = collate(samples, SIZE, features)
    assert told == layout and batch.keys() == here.keys()
    for name, array in here.items():
        assert array.dtype == batch[name].dtype and np.array_equal(array, batch[name])
        assert batch[name].flags.aligned and batch[name].flags.writeable
    for row, sample in enumerate(samples if media else []):
        assert np.array_equal(here["waveform"][row, : len(sample.waveform)], sample.waveform)
        assert not here["waveform"][row, len(sample.waveform) :].any()
        if sample.frames is not None:
            assert np.array_equal(here["frames"][row, : len(sample.frames)], sample.frames.transpose(0, 3, 1, 2))
            assert not here["frames"][row, len(sample.frames) :].any()
    for row, sample in enumerate([] if media else samples):
        for name in LAYOUT:
            content = sample.features.get(name, here[name][row, :0])
            assert np.array_equal(here[name][row, : len(content)], content)
            assert not here[name][row, len(content) :].any()


def test_memory_holds_its_contents_where_they_belong_and_is_zero_elsewhere(channel: Any) -> None:
    ours, theirs = channel
    memory = memfd_from(5000, [(3, memoryview(b"abc")), (4990, memoryview(b"0123456789"))])
    send(theirs, "a batch", memory)
    os.close(memory)
    theirs.close()  # what was sent outlives its sender
    assert receive(ours) == "a batch"
    taken = map_memfd(ours, 5000)
    assert taken.tobytes() == bytes(3) + b"abc" + bytes(4984) + b"0123456789"


def test_what_one_does_with_a_batch_another_does_not_see(channel: Any) -> None:
    ours, theirs = channel
    memory = memfd_from(8, [(0, memoryview(b"abcdefgh"))])
    for _ in range(2):
        send(theirs, None, memory)
    os.close(memory)
    first, second = (receive(ours) or map_memfd(ours, 8) for _ in range(2))
    first[:] = 0
    assert second.tobytes() == b"abcdefgh"


@pytest.mark.parametrize("sent", [0, 3, 8, 10])
def test_the_end_of_the_other_side_is_noticed_wherever_it_happens(channel: Any, sent: int) -> None:
    ours, theirs = channel
    send(theirs, "message")
    whole = ours.recv(1000)
    theirs.sendall(whole[:sent])
    theirs.close()
    with pytest.raises(EOFError):
        receive(ours)


def test_the_end_of_the_other_side_between_a_message_and_its_memory_is_noticed(channel: Any) -> None:
    ours, theirs = channel
    send(theirs, "message")
    theirs.close()
    assert receive(ours) == "message"
    with pytest.raises(EOFError):
        map_memfd(ours, 8)


def test_a_message_is_refused_where_no_more_files_may_be_open(channel: Any) -> None:
    ours, theirs = channel
    memory = memfd_from(8, [])
    send(theirs, None, memory)
    os.close(memory)
    receive(ours)
    import torch  # noqa: F401 - opens files of its own

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(EnvironmentFault, match="too many open files"):
            map_memfd(ours, 8)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_memory_that_the_machine_does_not_give_is_told_with_its_size() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(EnvironmentFault, match=r"no memory for a batch of 3 MB: .*; lower data\.micro_batch"):
            memfd_from(3_000_000, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(os.listdir("/proc/self/fd")) == before
