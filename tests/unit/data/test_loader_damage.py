"""Shards that are gone, of another data set or damaged: the run stops with their name, or goes on with blank rows."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decoder import DecodeFailure
from dual_hpc.data.loader import EvalLoader, TrainLoader
from dual_hpc.errors import EnvironmentFault, UserError
from tests.unit.data.conftest import settings, write_shards

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_deleted_during_training_stops_the_run_and_is_named(tmp_path: Path, media: Any, workers: int) -> None:
    folder = write_shards(tmp_path / "s", [[media(0.3)] * 2 for _ in range(40)])
    changed = settings(workers=workers, shuffle_window=1)
    loader = TrainLoader(ShardDataset([folder]), range(80), range(80), changed, None, None, 0)
    steps = iter(loader)
    next(steps)
    for path in folder.glob("*.tar"):
        path.unlink()
    with pytest.raises(EnvironmentFault, match=r"cannot open shard .*\.tar"):
        list(itertools.islice(steps, 20))
    loader.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_index_of_other_shards_stops_the_run(tmp_path: Path, media: Any, workers: int) -> None:
    folder = write_shards(tmp_path / "s", [[media(0.3)], [media(0.3)]])
    (folder / "shard-00000.tar").write_bytes((folder / "shard-00001.tar").read_bytes())
    loader = EvalLoader(ShardDataset([folder]), range(2), range(2), settings(workers=workers), None)
    with pytest.raises(UserError, match="does not belong to"):
        list(loader)
    loader.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_samples_are_blank_up_to_the_limit_then_listed(tmp_path: Path, media: Any, workers: int) -> None:
    good = media(0.3)
    damaged = bytearray(good.flac)
    damaged[len(damaged) // 2] ^= 0xFF  # inside a frame: its checksum fails
    clips = [replace(good, flac=bytes(damaged)) if n in (3, 8) else good for n in range(12)]
    dataset = ShardDataset([write_shards(tmp_path / "s", [clips])])

    def train(limit: int) -> list[tuple[str, bool, int, int]]:
        loader = TrainLoader(
            dataset, range(12), range(12), settings(workers=workers, bad_sample_limit=limit), None, None, 0
        )
        try:
            rows: list[Any] = []
            for micro in itertools.chain.from_iterable(itertools.islice(loader, 6)):  # two epochs
                lengths = micro["waveform_lengths"] + micro["frame_lengths"]
                columns = (micro["keys"], micro["valid"].tolist(), micro["labels"].tolist(), lengths.tolist())
                rows += zip(*columns, strict=True)
            assert len(loader.bad_samples) == 2  # distinct samples, however often they come
            return rows
        finally:
            loader.close()

    rows = train(limit=2)
    assert rows == train(limit=2), "the same samples are blank after a restart"
    blank = [row for row in rows if not row[1]]
    assert sorted(blank) == [("s000_003", False, -100, 0)] * 2 + [("s000_008", False, -100, 0)] * 2
    assert len(rows) == 24 and len({row[0] for row in rows}) == 12
    with pytest.raises(UserError, match=r"2 samples .*data\.bad_sample_limit is 1.*s000_00[38]: audio.*s000_00[38]"):
        train(limit=1)


def test_what_other_ranks_have_met_counts_once_and_towards_the_limit(folder: Path) -> None:
    loader = TrainLoader(ShardDataset([folder]), range(13), range(13), settings(bad_sample_limit=3), None, None, 0)
    cut: tuple[DecodeFailure, ...] = (DecodeFailure(frozenset({"flac"}), "cut"),)
    for known in ({1: (cut, "a: cut"), 2: (cut, "b: cut")}, {2: (cut, "b: cut"), 3: (cut, "c: cut")}):
        loader.bad_samples.merge(known)
    loader.bad_samples.check()
    loader.bad_samples.merge({4: (cut, "d: cut")})
    with pytest.raises(UserError, match=r"4 samples .* a: cut; b: cut; c: cut; d: cut"):
        loader.bad_samples.check()
