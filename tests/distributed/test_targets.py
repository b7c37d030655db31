"""Votes and dimensions as targets: a training on them that is killed and continued ends like one that was not."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.data.format.index import dataset_id, read_index, write_index
from dual_hpc.data.format.sample import Utterance, Vote
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from tests.distributed.history import final_state

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
PROTOCOL = """
classes: {angry: angry, happy: happy, sad: sad}
folds: {own: true}
shared: {speaker: validation, dialogue: validation}
target: TARGET
"""


@pytest.fixture(scope="module")
def rated_shards(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny shards with three raters' votes and two dimensions, one of which some utterances lack."""
    folder = tmp_path_factory.mktemp("rated")
    index = read_index(tiny_shards)

    def rated(meta: Utterance) -> Utterance:
        loudness = ("angry", "happy", "sad").index(str(meta.label))
        said = [str(meta.label), str(meta.label), ("happy", "sad", "angry")[meta.utterance % 3]]
        votes = tuple(Vote(rater=f"r{n}", labels=(one,)) for n, one in enumerate(said))
        arousal = None if meta.utterance % 4 == 3 else 1 + loudness + 0.1 * meta.utterance
        return meta.model_copy(update={"votes": votes, "valence": 3 - 0.5 * loudness, "arousal": arousal})

    shards = [
        shard.model_copy(update={"samples": [s.model_copy(update={"meta": rated(s.meta)}) for s in shard.samples]})
        for shard in index.shards
    ]
    for shard in shards:
        shutil.copyfile(tiny_shards / shard.name, folder / shard.name)
    write_index(folder, index.model_copy(update={"shards": shards, "dataset_id": dataset_id(shards)}))
    return folder


@pytest.mark.parametrize(
    "target", ["soft", "regression\ndimensions: [valence, arousal]"], ids=lambda one: one.split()[0]
)
def test_a_kill_leaves_no_trace_of_itself_in_what_was_learned(
    target: str,
    rated_shards: Path,
    make_run: Callable[..., RunDir],
    start_ranks: Callable[..., Any],
    tmp_path: Path,
) -> None:
    name = target.split()[0]
    (tmp_path / "rated.yaml").write_text(PROTOCOL.replace("TARGET", target))
    overrides = [f"data.shards=[{rated_shards}]", f"data.protocol={tmp_path / 'rated.yaml'}", "model.dropout=0.1"]
    if name == "regression":
        overrides.append("training.select_by=ccc")
    whole, killed = (make_run(f"{name}-{what}", *overrides) for what in ("whole", "killed"))
    start_ranks("train", 2, whole.path).check()
    codes = start_ranks("train", 2, killed.path, "step:4", DIES="1").wait()
    assert codes[1] == -signal.SIGKILL, codes
    (tmp_path / "rated.yaml").unlink()  # the run has it
    start_ranks("train", 2, killed.path).check()
    assert final_state(killed) == final_state(whole)
    scores = [replay(read(run.journal)) for run in (whole, killed)]
    assert scores[0]["train/loss"] == scores[1]["train/loss"]
    wanted = json.loads((killed.path / "model.json").read_text()).get("dimensions")
    if name == "regression":
        assert scores[0]["val/av/ccc"] == scores[1]["val/av/ccc"]
        assert set(wanted) == {"valence", "arousal"}
    else:
        assert not wanted

    # Trained on the labels alone, the same start gives other weights: the targets are what was learned.
    plain = make_run(f"{name}-plain", *overrides[:1], "model.dropout=0.1")
    start_ranks("train", 2, plain.path).check()
    assert replay(read(plain.journal))["train/loss"] != scores[0]["train/loss"]
