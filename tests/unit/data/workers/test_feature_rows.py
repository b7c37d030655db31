"""Features that go straight from the tars into a batch are those that are decoded one by one, and as well checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dual_hpc.data.collate import MicroBatch, collate
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding import decoder as decoder_module
from dual_hpc.data.decoding.decoder import DecodeConfig, Request, SampleDecoder
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.data.loader import TrainLoader
from dual_hpc.data.workers.source import InProcess
from dual_hpc.errors import UserError
from tests.unit.data.conftest import Clip, augment_all, settings, write_shards

WIDTHS = {"audio": 4, "video": 3, "text": 7}


def clip(number: int, dtype: str = "<f2", **changes: Any) -> Clip:
    """Arrays of different lengths, extreme numbers among them; every fourth sample lacks one, every third its text."""
    rng = np.random.default_rng(number)
    arrays = {}
    for place, (name, width) in enumerate(WIDTHS.items()):
        array = rng.standard_normal((1 + (number * 7 + place) % 9, width)).astype(dtype)
        array.flat[0] = [np.finfo(dtype).max, -np.finfo(dtype).max, np.finfo(dtype).tiny, -0.0][number % 4]
        if (number + place) % 4:
            arrays[name] = array
    return Clip(0.3 + number / 7, text=None if number % 3 == 0 else f"said {number} é", npy={**arrays, **changes})


def one_by_one(config: DecodeConfig, rows: list[Request]) -> MicroBatch:
    """The micro-batch as media are made."""
    decoder, samples = SampleDecoder(config), []
    with SampleReader() as reader:
        for request in rows:
            wanted = decoder.members_to_read(request)
            members = reader.read(request.ref, wanted) if request.ref and wanted else {}
            samples.append(decoder.decode(request, members))
    failures = {row: sample.failure for row, sample in enumerate(samples) if sample.failure is not None}
    arrays = collate(samples, config.settings.image_size, config.layout)
    return MicroBatch(rows, arrays, [sample.text for sample in samples], failures)


def assert_equal(found: MicroBatch, expected: MicroBatch) -> None:
    assert (found.texts, found.failures, found.decoders) == (expected.texts, expected.failures, expected.decoders)
    assert list(found.arrays) == list(expected.arrays)
    for name, array in expected.arrays.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


def made(config: DecodeConfig, rows: list[Request]) -> MicroBatch:
    source = InProcess(config)
    (batch,) = source.run(iter([rows]))
    source.close()
    return batch


def requests(dataset: ShardDataset, numbers: Sequence[int | None], epoch: int = 0) -> list[Request]:
    return [Request(None if n is None else dataset.ref(n), 1, epoch) for n in numbers]


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_a_batch_is_bit_for_bit_the_one_made_sample_by_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, sums: bool
) -> None:
    folder = write_shards(tmp_path / "s", [[clip(n, dtype) for n in range(12)]] * 2, "features", sums)
    dataset = ShardDataset([folder])
    for augment in (None, augment_all()):
        config = DecodeConfig(settings(max_seconds=1.0), augment, 3, dataset.features())
        chosen: list[list[int | None]] = [[0], [3, 22, None, 1], [None, None], list(range(24)), [5, 5]]
        batches = [requests(dataset, numbers, epoch) for epoch, numbers in enumerate(chosen)]
        expected = [one_by_one(config, rows) for rows in batches]
        with monkeypatch.context() as patch:
            patch.setattr(decoder_module, "decode_features", lambda *_: pytest.fail("decoded one by one"))
            for rows, batch in zip(batches, expected, strict=True):
                assert_equal(made(config, rows), batch)


ODD: dict[str, tuple[Any, bool]] = {  # an array, and whether it is damaged
    "not a number": (np.array([[1, np.nan, 1, 1]], "<f2"), True),
    "infinite": (np.array([[1, 1, 1, 1], [1, 1, 1, -np.inf]], "<f2"), True),
    "another width": (np.ones((4, 6), "<f2"), True),
    "another type": (np.ones((4, 4), "<f4"), True),
    "whole numbers": (np.ones((4, 4), "<i2"), True),
    "flat": (np.ones(8, "<f2"), True),
    "empty": (np.ones((0, 4), "<f2"), True),
    "column by column": (np.asfortranarray(np.arange(12).reshape(3, 4).astype("<f2")), False),
    "the smallest numbers": (np.array([[6e-8, -6e-8, 0, -0.0]], "<f2"), False),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_array_is_read_or_refused_as_one_by_one(tmp_path: Path, name: str) -> None:
    array, is_damaged = ODD[name]
    folder = write_shards(tmp_path / "s", [[clip(5), clip(6, audio=array), clip(7)]], "features", sums=True)
    dataset = ShardDataset([folder])
    config = DecodeConfig(settings(), None, 0, dataset.features())
    rows = requests(dataset, [0, 1, 2])
    batch = made(config, rows)
    assert_equal(batch, one_by_one(config, rows))
    assert bool(batch.failures) == is_damaged


def test_sets_side_by_side_are_bit_for_bit_those_made_sample_by_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of unlike rates and types, with arrays that only one set has, and then with damage in one of them."""
    for name, kind, hz in (("a", "<f2", "50.0"), ("b", "<f4", "20.0")):
        clips = [clip(n if name == "a" or n % 5 else n + 1, kind) for n in range(12)]
        folder = write_shards(tmp_path / name, [clips[:5], clips[5:]], "features", sums=True)
        index = json.loads((folder / "index.json").read_text())
        index["options"] |= {f"{one}_encoder": name for one in WIDTHS} | {"audio_hz": hz}
        (folder / "index.json").write_text(json.dumps(index))
    choice = {"audio": ["a", "b"], "video": ["b"], "text": ["b", "a"]}
    dataset = ShardDataset([tmp_path], choice)
    order = {name: [one.member for one in arrays] for name, arrays in dataset.features().items()}
    assert order == {
        "audio": ["a/audio.npy", "b/audio.npy"],
        "text": ["a/text.npy", "b/text.npy"],
        "video": ["b/video.npy"],
    }
    for augment in (None, augment_all()):
        config = DecodeConfig(settings(max_seconds=1.0), augment, 3, dataset.features())
        assert config.layout == {"audio": (8, "<f4"), "text": (14, "<f4"), "video": (3, "<f4")}
        rows = requests(dataset, [None, *range(12), 3])
        expected = one_by_one(config, rows)
        with monkeypatch.context() as patch:
            patch.setattr(decoder_module, "decode_features", lambda *_: pytest.fail("decoded one by one"))
            assert_equal(made(config, rows), expected)
    tar = tmp_path / "b" / "shard-00001.tar"
    data = tar.read_bytes()
    place = data.index(b".audio.npy") // 512 * 512 + 512 + 140
    tar.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    config = DecodeConfig(settings(), None, 0, dataset.features())
    expected = one_by_one(config, rows)
    assert {reason.members for reason in expected.failures.values()} == {frozenset({"b/audio.npy"})}
    assert_equal(made(config, rows), expected)


@pytest.mark.parametrize("sums", [True, False])
def test_damage_anywhere_in_a_tar_is_found_as_one_by_one(tmp_path: Path, sums: bool) -> None:
    folder = write_shards(tmp_path / "s", [[clip(n) for n in (5, 6, 7)]], "features", sums)
    dataset = ShardDataset([folder])
    config = DecodeConfig(settings(), None, 0, dataset.features())
    rows = requests(dataset, [0, 1, 2])
    tar = folder / "shard-00000.tar"
    whole = tar.read_bytes()
    refused = 0
    for position in [*range(0, len(whole), 331), *range(512, 2600, 61)]:
        tar.write_bytes(whole[:position] + bytes([whole[position] ^ 0x40]) + whole[position + 1 :])
        try:
            expected = one_by_one(config, rows)
        except UserError as error:
            with pytest.raises(UserError) as found:
                made(config, rows)
            assert str(found.value) == str(error)
            refused += 1
            continue
        assert_equal(made(config, rows), expected)
    assert refused


def test_the_workers_give_the_same_batches_as_this_process(tmp_path: Path) -> None:
    odd = clip(3, audio=ODD["column by column"][0])
    folder = write_shards(tmp_path / "s", [[clip(n) for n in range(9)], [odd, clip(1)]], "features", sums=True)
    dataset = ShardDataset([folder])
    batches = []
    for workers in (0, 2):
        loader = TrainLoader(dataset, range(11), range(11), settings(workers=workers), augment_all(), None, seed=1)
        micro_batches = loader.micro_batches()
        batches.append([next(micro_batches) for _ in range(20)])
        loader.close()
    for here, there in zip(*batches, strict=True):
        assert here.keys() == there.keys() and here["keys"] == there["keys"]
        for name in set(here) - {"keys"}:
            assert here[name].numpy().tobytes() == there[name].numpy().tobytes(), name


def test_a_worker_says_which_tar_it_cannot_read(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "s", [[clip(n) for n in range(9)]], "features", sums=True)
    loader = TrainLoader(ShardDataset([folder]), range(9), range(9), settings(workers=1), None, None, seed=1)
    tar = folder / "shard-00000.tar"
    tar.write_bytes(tar.read_bytes().replace(b"s000_00", b"t000_00"))
    with pytest.raises(UserError, match="does not belong to"):
        next(loader.micro_batches())
    loader.close()
