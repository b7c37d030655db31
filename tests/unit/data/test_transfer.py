"""What a worker decoded arrives in its place of the batch, byte for byte."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.collate import blank_batch, collate, contents, extent_of, places
from dual_hpc.data.dataset import Sample
from dual_hpc.data.transfer import fill, receive, send

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


@given(
    st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 5)), min_size=1, max_size=6),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_batch_that_was_sent_equals_one_collated_here(lengths, media, seed):
    numbers = np.random.default_rng(seed)
    samples = [a_sample(numbers, *each) for each in lengths]
    features = {} if media else LAYOUT
    ours, theirs = socket.socketpair()
    extent = extent_of(samples, features)
    sender = threading.Thread(target=send, args=(theirs, extent, contents(samples, extent)))
    sender.start()
    told = receive(ours)
    batch = blank_batch(told, SIZE, features)
    fill(ours, places(batch, told))
    sender.join()
    ours.close(), theirs.close()
    here = collate(samples, SIZE, features)
    assert told == extent and batch.keys() == here.keys()
    for name, array in here.items():
        assert array.dtype == batch[name].dtype and np.array_equal(array, batch[name])
    for row, sample in enumerate(samples if media else []):
        assert np.array_equal(here["waveform"][row, : len(sample.waveform)], sample.waveform)
        assert not here["waveform"][row, len(sample.waveform) :].any()
        if sample.frames is not None:
            assert np.array_equal(here["frames"][row, : len(sample.frames)], sample.frames.transpose(0, 3, 1, 2))
            assert not here["frames"][row, len(sample.frames) :].any()


@pytest.mark.parametrize("sent", [0, 3, 40])
def test_the_end_of_the_other_side_is_noticed_wherever_it_happens(sent):
    ours, theirs = socket.socketpair()
    send(theirs, None, [np.arange(64, dtype=np.uint8)])
    whole = ours.recv(1000)
    theirs.close()
    ours.close()
    ours, theirs = socket.socketpair()
    theirs.sendall(whole[:sent])
    theirs.close()
    with pytest.raises(EOFError):
        receive(ours)
        fill(ours, [np.zeros(64, np.uint8)])
    ours.close()
