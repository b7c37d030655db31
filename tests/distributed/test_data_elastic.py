"""The loader on real ranks: another number of them, killed workers, and bad samples that all ranks agree on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.data.dataset import ShardDataset

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]


def test_two_ranks_then_three_with_a_killed_worker_read_what_one_rank_reads(
    start_ranks: Callable[..., Any], tiny_shards: Path, tmp_path: Path
) -> None:
    start_ranks("loader", 1, tiny_shards, tmp_path / "one.json", 6, 0).check()
    start_ranks("loader", 2, tiny_shards, tmp_path / "many.json", 3, 0, "kill").check()
    start_ranks("loader", 3, tiny_shards, tmp_path / "many.json", 3, 0, "kill").check()
    one, many = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "many"))
    assert many == one  # keys, augmented media and state
    keys = [key for step in one["steps"] for key, _, _ in step]
    assert len(keys) == 72 and all(keys.count(key) == 3 for key in keys)


def test_all_ranks_stop_in_the_same_step_when_their_bad_samples_together_are_too_many(
    start_ranks: Callable[..., Any], tiny_shards: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_shards, tmp_path / "damaged")
    shard_set = ShardDataset([folder])
    for number in (2, 9, 14, 20):
        ref = shard_set.ref(number)
        offset, size = ref.members["flac"]
        with open(ref.path, "r+b") as file:
            file.seek(offset)
            file.write(b"\xff" * size)
    ranks = start_ranks("loader", 2, folder, tmp_path / "out.json", 4, 3)
    codes = [process.wait(timeout=400) for process in ranks.processes]  # nobody is killed: each stops by itself
    texts = [path.read_text() for path in ranks.outputs]
    assert codes == [2, 2], "\n".join(texts)
    assert all("4 samples cannot be decoded and data.bad_sample_limit is 3" in text for text in texts)
    listed = {shard_set.utterances[number].key for number in (2, 9, 14, 20)}
    assert all(f"{key}: audio" in text for text in texts for key in listed)
