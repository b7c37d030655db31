"""The loader over real media in real tars."""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.loader import EvalLoader, TrainLoader
from dual_hpc.data.state import LoaderState, resume_position
from dual_hpc.errors import UserError
from tests.unit.data.conftest import Clip, augment_all, settings, write_shards


def make(
    folder: Path, world: int = 1, rank: int = 0, state: Any = None, augment: Any = None, seed: int = 3, **changes: Any
) -> Any:
    dataset = ShardDataset([folder])
    numbers = list(range(len(dataset)))
    return TrainLoader(
        dataset, numbers, [n % 4 for n in numbers], settings(**changes), augment, None, seed, rank, world, state
    )


def keys(step: Any) -> list[str]:
    return [key for micro in step for key in micro["keys"]]


def take(loader: Any, steps: int) -> list:
    return list(itertools.islice(loader, steps))


def test_a_batch_has_the_keys_shapes_and_types_of_the_contract(folder: Path) -> None:
    batch = next(iter(make(folder, micro_batch=4)))[0]
    b = 4
    assert batch["waveform"].dtype == torch.float32 and batch["waveform"].shape[0] == b
    assert batch["frames"].dtype == torch.uint8 and batch["frames"].shape[2:] == (3, 32, 32)
    for name in ("waveform_lengths", "frame_lengths", "labels"):
        assert batch[name].dtype == torch.int64 and batch[name].shape == (b,)
    assert batch["durations"].dtype == torch.float32
    assert batch["input_ids"].shape == batch["attention_mask"].shape and not batch["attention_mask"].any()
    assert len(set(batch["keys"])) == b
    for row in range(b):
        n = batch["waveform_lengths"][row]
        assert n == round(float(batch["durations"][row]) * 16000)
        assert batch["waveform"][row, :n].abs().max() > 0 and not batch["waveform"][row, n:].any()
        f = batch["frame_lengths"][row]
        assert not batch["frames"][row, f:].any()


def test_thirteen_steps_are_four_epochs_with_each_sample_once(folder: Path) -> None:
    loader = make(folder)
    seen = [key for step in take(loader, 13) for key in keys(step)]
    epochs = [seen[i : i + 13] for i in range(0, 52, 13)]
    assert all(len(set(epoch)) == 13 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_and_workers_do_not_change_the_samples_or_their_augmentation(
    folder: Path, world: int, workers: int
) -> None:
    reference = {}
    for micro in (m for step in take(make(folder, augment=augment_all()), 3) for m in step):
        for row, key in enumerate(micro["keys"]):
            n, f = micro["waveform_lengths"][row], micro["frame_lengths"][row]
            reference[key] = (micro["waveform"][row, :n], micro["frames"][row, :f])
    seen = set()
    for rank in range(world):
        loader = make(folder, world, rank, augment=augment_all(), workers=workers)
        for micro in (m for step in take(loader, 3) for m in step):
            for row, key in enumerate(micro["keys"]):
                seen.add(key)
                n, f = micro["waveform_lengths"][row], micro["frame_lengths"][row]
                assert torch.equal(micro["waveform"][row, :n], reference[key][0])
                assert torch.equal(micro["frames"][row, :f], reference[key][1])
        loader.close()
    assert seen == set(reference)


@pytest.mark.parametrize("bucketed", [False, True])
def test_a_run_stopped_on_two_ranks_continues_on_four_with_the_samples_that_were_due(
    folder: Path, bucketed: bool
) -> None:
    make = functools.partial(globals()["make"], bucket_by_length=bucketed)
    whole = [sorted(keys(step)) for step in take(make(folder), 9)]
    first = make(folder, world=2)
    take(first, 4)
    state = first.state_dict()
    assert state["samples_consumed"] == 16 and state["epoch"] == 1
    ranks = [take(make(folder, world=4, rank=r, state=state, workers=r % 2), 5) for r in range(4)]
    together = [sorted(key for step in steps for key in keys(step)) for steps in zip(*ranks, strict=True)]
    assert together == whole[4:] and whole[4:] != whole[:5]


def test_the_state_does_not_count_what_workers_prepare_ahead(folder: Path) -> None:
    loader = make(folder, workers=2)
    steps = iter(loader)
    assert loader.state_dict()["samples_consumed"] == 0
    next(steps)
    assert loader.state_dict()["samples_consumed"] == 4
    loader.close()


def test_iterating_again_goes_on_where_the_last_iteration_stopped(folder: Path) -> None:
    whole = [keys(step) for step in take(make(folder), 4)]
    loader = make(folder, workers=1)
    assert [keys(next(iter(loader))) for _ in range(4)] == whole
    loader.close()


@pytest.mark.parametrize("change", [{"global_batch": 8}, {"seed": 4}, {"shuffle_window": 1}])
def test_a_state_of_another_run_is_refused(folder: Path, change: Any) -> None:
    state = make(folder).state_dict()
    with pytest.raises(UserError, match="run began with"):
        make(folder, state=state, **change)


def test_bucketed_by_other_lengths_is_another_order(folder: Path) -> None:
    state = make(folder, bucket_by_length=True).state_dict()
    make(folder, bucket_by_length=True, state=state, max_seconds=1.4)  # longer than all
    with pytest.raises(UserError, match="max_seconds"):
        make(folder, bucket_by_length=True, state=state, max_seconds=0.5)
    make(folder, state=make(folder).state_dict(), max_seconds=0.5)


@pytest.mark.parametrize(
    "damage",
    [
        None,
        [],
        {},
        {"position": 3},
        {"samples_consumed": -4},
        {"samples_consumed": "4"},
        {"samples_consumed": 10**30},
        {"dataset_id": None},
        {"order": None},
    ],
)
def test_a_state_that_is_none_of_this_version_is_refused(folder: Path, damage: Any) -> None:
    state = make(folder).state_dict()
    with pytest.raises(UserError, match="data state"):
        resume_position(state | damage if damage else damage, LoaderState(**state))


def test_a_state_written_before_is_read() -> None:
    written = '{"epoch": 1, "samples_consumed": 16, "seed": 3, "dataset_id": "f00:00ff00ff00ff00ff", "global_batch": 4}'
    expected = LoaderState(epoch=0, samples_consumed=0, seed=3, dataset_id="f00:00ff00ff00ff00ff", global_batch=4)
    assert resume_position(json.loads(written), expected) == 16
    assert json.dumps(LoaderState(1, 16, 3, "f00:00ff00ff00ff00ff", 4).to_dict()) == written


def test_a_run_whose_order_has_changed_since_is_refused(tmp_path: Path) -> None:
    # A window of more than 1024 samples: states without a version were written by code that shuffled it otherwise.
    dataset = write_shards(tmp_path / "large", [[Clip(0.1, text="a")] * 600, [Clip(0.1, text="a")] * 500])
    state = make(dataset).state_dict()
    assert state["order"] == 2
    make(dataset, state=state | {"samples_consumed": 4})
    for bucketed in (False, True):
        old = make(dataset, bucket_by_length=bucketed).state_dict() | {"samples_consumed": 4}
        del old["order"]
        with pytest.raises(UserError, match=r"order of samples.*resume without --new-code"):
            make(dataset, bucket_by_length=bucketed, state=old)
    make(dataset, state=make(dataset, shuffle_window=1).state_dict(), shuffle_window=1)


def test_a_run_whose_windows_are_small_continues_from_a_state_without_a_version(folder: Path) -> None:
    state = make(folder).state_dict()
    assert "order" not in state
    make(folder, state=state)
    with pytest.raises(UserError, match="version 3 of the order of samples"):
        make(folder, state=state | {"order": 3})


def test_changed_shards_are_refused(folder: Path, tmp_path: Path, media: Any) -> None:
    state = make(folder).state_dict()
    other = write_shards(tmp_path / "other", [[media(0.3)] * 13])
    with pytest.raises(UserError, match=r"data\.shards"):
        make(other, state=state)


@pytest.mark.parametrize("world, workers", [(1, 0), (2, 1), (3, 1), (16, 0)])  # 16: more than samples
def test_evaluation_covers_each_sample_once_in_equal_steps(folder: Path, world: int, workers: int) -> None:
    dataset = ShardDataset([folder])
    numbers = list(range(2, 13))
    seen, lengths = [], set()
    for rank in range(world):
        loader = EvalLoader(dataset, numbers, numbers, settings(workers=workers), None, rank, world, batch_size=3)
        batches = list(loader)
        lengths.add(len(batches))
        assert len(batches) == len(loader)
        for batch in batches:
            assert len(batch["labels"]) == 3
            assert batch["valid"].tolist() == [bool(key) for key in batch["keys"]]
            assert (batch["labels"][~batch["valid"]] == -100).all()
            seen += [key for key in batch["keys"] if key]
        loader.close()
    assert len(lengths) == 1
    assert sorted(seen) == sorted(dataset.utterances[n].key for n in numbers)


def test_a_sample_is_the_same_through_webdataset_and_through_the_index(folder: Path) -> None:
    import webdataset as wds

    dataset = ShardDataset([folder])
    from dual_hpc.data.format.reader import SampleReader

    reader = SampleReader()
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    for number, sample in enumerate(wds.WebDataset(urls, shardshuffle=False)):
        ref = dataset.ref(number)
        assert ref.key == sample["__key__"]
        assert reader.read(ref) == {e: sample[e] for e in ref.members}
    reader.close()


def test_texts_are_read_by_number(folder: Path) -> None:
    assert ShardDataset([folder]).texts([12, 0]) == ["so it goes", "so it goes"]


def test_resuming_far_away_needs_no_replay(folder: Path) -> None:
    state = make(folder).state_dict() | {"samples_consumed": 4 * 10**12}
    loader = make(folder, state=state)
    assert len(set(keys(next(iter(loader))))) == 4
    assert loader.state_dict()["samples_consumed"] == 4 * 10**12 + 4


def test_a_damaged_text_is_no_text(tmp_path: Path, media: Any) -> None:
    folder = write_shards(tmp_path / "shards", [[media(0.2), media(0.3)]], sums=True)
    path = folder / "shard-00000.tar"
    data = path.read_bytes()
    at = data.index(b"so it goes")
    path.write_bytes(data[:at] + b"SO" + data[at + 2 :])
    assert ShardDataset([folder]).texts([0, 1]) == ["", "so it goes"]
