"""Bad samples: found in their bytes, and the same whatever was met before."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.data.bad_samples import BadSamples
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decoder import DecodeConfig, DecodeFailure, Request
from dual_hpc.data.format.reader import SampleRef
from dual_hpc.data.loader import EvalLoader, TrainLoader
from dual_hpc.data.workers.pool import WorkerPool
from tests.unit.data.conftest import augment_all, settings, write_shards


def train(folder: Path, steps: int, state: Any = None, **changes: Any) -> Any:
    loader = TrainLoader(
        ShardDataset([folder]), range(6), range(6), settings(**changes), augment_all(), None, 0, state=state
    )
    rows: list[Any] = []
    for micro in itertools.chain.from_iterable(itertools.islice(loader, steps)):
        columns = ("valid", "waveform_lengths", "frame_lengths", "labels")
        rows += zip(micro["keys"], *(micro[name].tolist() for name in columns), strict=True)
    loader.close()
    return rows, loader.state_dict()


@pytest.mark.parametrize("workers, restarts", [(0, 6), (2, 1)])
def test_what_is_blank_in_an_epoch_does_not_depend_on_epochs_before(
    tmp_path: Path, media: Any, workers: int, restarts: int
) -> None:
    # Modality dropout spares the damaged member in some epochs: a run that has met it must not differ from one that
    # was restarted, or whose workers ran ahead.
    good = media(0.3)
    clips = [good] * 3 + [replace(good, flac=b"junk"), replace(good, mp4=b"junk"), good]
    folder = write_shards(tmp_path / "s", [clips])
    options = dict(global_batch=6, micro_batch=6, bad_sample_limit=2)
    whole, _ = train(folder, 12, **options)
    pieces, state = [], None
    for _ in range(restarts):
        rows, state = train(folder, 12 // restarts, state, workers=workers, **options)
        pieces += rows
    assert pieces == whole
    for key in ("s000_003", "s000_004"):
        assert {row[1] for row in whole if row[0] == key} == {True, False}


def test_a_sample_is_blank_if_a_member_known_to_be_bad_is_wanted() -> None:
    known = BadSamples(1)
    ref = SampleRef(7, "k", "a.tar", 0, {}, 1.0)
    known.add(Request(ref), DecodeFailure(frozenset({"mp4"}), "video: cut"))
    known.add(Request(ref), DecodeFailure(frozenset({"mp4"}), "video: cut"))
    known.add(Request(ref), DecodeFailure(frozenset({"flac"}), "audio: cut"))
    assert len(known) == 1 and known.lines == ["a.tar: k: video: cut"]
    other = BadSamples(1)
    other.merge(known.known())
    continued = BadSamples(1)
    continued.load_state_dict(json.loads(json.dumps(known.state_dict())))
    assert continued.lines == known.lines
    for bad in (known, other, continued):
        assert [failure.reason for failure in bad.failures_of(7)] == ["video: cut", "audio: cut"]
        assert bad.failures_of(8) == ()


def test_bad_samples_of_a_checkpoint_written_before_are_read_and_written_as_they_were() -> None:
    written = (
        '[{"number": 3, "line": "a.tar: k3: video: cut", "faults": [{"members": ["mp4"], "reason": "video: cut"}, '
        '{"members": ["flac", "mp4"], "reason": "its decoder dies (SIGSEGV)"}]}]'
    )
    bad = BadSamples(1)
    bad.load_state_dict(json.loads(written))
    assert bad.lines == ["a.tar: k3: video: cut"]
    assert bad.failures_of(3)[1] == DecodeFailure(frozenset({"flac", "mp4"}), "its decoder dies (SIGSEGV)")
    assert json.dumps(bad.state_dict()) == written


@pytest.mark.parametrize("extension", ["flac", "mp4", "txt"])
def test_a_flipped_bit_that_no_decoder_minds_is_a_bad_sample(tmp_path: Path, media: Any, extension: str) -> None:
    folder = write_shards(tmp_path / "s", [[media(0.3)] * 2], sums=True)
    dataset = ShardDataset([folder])
    offset, size = dataset.ref(1).members[extension]
    path = folder / "shard-00000.tar"
    data = bytearray(path.read_bytes())
    data[offset + size - 1] ^= 1
    path.write_bytes(data)
    loader = EvalLoader(dataset, [0, 1], [0, 1], settings(bad_sample_limit=1), None)
    (batch,) = list(loader)
    loader.close()
    assert batch["keys"] == ["s000_000", "s000_001"] and batch["valid"].tolist() == [True, False]
    assert f"s000_001: {extension}: is not what was packed" in loader.bad_samples.lines[0]


def test_a_decoder_that_dies_of_one_member_serves_the_others(tmp_path: Path, media: Any, dangerous: None) -> None:
    clip = replace(media(0.3), mp4=b"CRASH")
    ref = ShardDataset([write_shards(tmp_path / "s", [[clip]])]).ref(0)
    spared = replace(ref, members={e: span for e, span in ref.members.items() if e != "mp4"})
    pool = WorkerPool(1, DecodeConfig(settings()), 4)
    (made,) = pool.run(iter([[Request(ref)]]))
    failure = made.failures[0]
    assert failure == DecodeFailure(frozenset({"flac", "mp4", "txt"}), "its decoder dies (SIGSEGV)")
    again, without = pool.run(iter([[Request(ref, failures=(failure,))], [Request(spared, failures=(failure,))]]))
    pool.close()
    assert again.failures == {0: failure} and not without.failures
