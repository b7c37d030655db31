"""Feature shards hold what the frozen encoders say of each sample, and nothing else changes."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dual_hpc.config import load_config
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.index import read_index
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.errors import UserError
from dual_hpc.model import build_model, build_tokenizer, save_model
from dual_hpc.model.encoders.frozen import FrozenEncoders
from launch.cli.main import main
from shards.encoders import encoders_of_config, encoders_of_model
from shards.extraction import extract
from shards.lock import Lock
from shards.verify import verify

pytestmark = pytest.mark.slow

PREPROCESSING = {"sample_rate": 16_000, "image_size": 24, "video_hz": 5.0, "max_seconds": 6.0, "max_tokens": 16}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = load_config("demo", ["model.hidden_size=16", "model.num_heads=2"])
    tokenizer = build_tokenizer(["do you have forms", "do you have forms"])
    folder = tmp_path_factory.mktemp("model")
    save_model(build_model(config.model, ["a", "b"], PREPROCESSING, None, tokenizer), tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def encoders(model: Path) -> FrozenEncoders:
    return encoders_of_model(model)


def arrays(folder: Path) -> dict[str, dict[str, NDArray[np.floating]]]:
    shard_set = ShardDataset([folder])
    found = {}
    with SampleReader() as reader:
        for number, entry in enumerate(shard_set.samples):
            members = reader.read(shard_set.ref(number))
            found[entry.sample.meta.key] = {
                name: np.load(io.BytesIO(data)) for name, data in members.items() if name.endswith(".npy")
            }
    return found


def files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


def test_every_sample_gets_its_features_and_keeps_its_metadata(
    packed_iemocap: Path, encoders: FrozenEncoders, tmp_path: Path
) -> None:
    index = extract(packed_iemocap, tmp_path / "out", encoders)
    source = read_index(packed_iemocap)
    assert index is not None and index.kind == "features" and verify(tmp_path / "out") == []
    assert [s.meta for shard in index.shards for s in shard.samples] == [
        s.meta for shard in source.shards for s in shard.samples
    ]
    assert index.options["source"] == source.dataset_id and len(index.options["audio_encoder"]) == 32
    found = arrays(tmp_path / "out")
    assert set(found["Ses01F_impro01_F000"]) == {"audio.npy", "video.npy", "text.npy"}
    assert set(found["Ses01F_impro01_F001"]) == {"audio.npy", "video.npy"}  # it has no transcript
    assert found["Ses01F_impro01_F000"]["video.npy"].shape[0] == 5  # a second at video_hz
    assert all(a.dtype == np.float16 for sample in found.values() for a in sample.values())
    assert set(ShardDataset([tmp_path / "out"]).features()) == {"audio", "video", "text"}


def test_features_are_what_the_encoder_says_of_that_sample_alone(
    packed_meld: Path, encoders: FrozenEncoders, tmp_path: Path
) -> None:
    extract(packed_meld, tmp_path / "many", encoders, dtype="float32", batch_size=8)
    extract(packed_meld, tmp_path / "single", encoders, dtype="float32", batch_size=1)
    many, single = arrays(tmp_path / "many"), arrays(tmp_path / "single")
    assert many.keys() == single.keys() and len(many) == 3
    for key, members in single.items():
        for name, array in members.items():
            np.testing.assert_allclose(many[key][name], array, atol=1e-5)


def test_array_tasks_and_repeats_give_the_same_bytes(
    packed_iemocap: Path, encoders: FrozenEncoders, tmp_path: Path
) -> None:
    extract(packed_iemocap, tmp_path / "one", encoders)
    assert extract(packed_iemocap, tmp_path / "two", encoders, array=(0, 2)) is None
    with pytest.raises(UserError, match="data\\.shards"):
        read_index(tmp_path / "two")
    extract(packed_iemocap, tmp_path / "two", encoders, array=(1, 2))
    assert files(tmp_path / "one") == files(tmp_path / "two")
    before = (tmp_path / "one" / "index.json").stat().st_mtime_ns
    extract(packed_iemocap, tmp_path / "one", encoders)
    assert (tmp_path / "one" / "index.json").stat().st_mtime_ns == before


def test_options_that_were_changed_in_the_index_of_features_are_noticed(
    packed_iemocap: Path, encoders: FrozenEncoders, tmp_path: Path
) -> None:
    extract(packed_iemocap, tmp_path / "out", encoders)
    path = tmp_path / "out" / "index.json"
    path.write_text(path.read_text().replace('"image_size":"24"', '"image_size":"25"'))
    assert [fault.where for fault in verify(tmp_path / "out")] == ["index.json"]


def test_a_folder_that_holds_something_else_is_refused_and_kept(
    packed_iemocap: Path, encoders: FrozenEncoders, tmp_path: Path
) -> None:
    (tmp_path / "shard-00000.tar").write_bytes(b"somebody's")
    with pytest.raises(UserError, match="holds tar files of something else"):
        extract(packed_iemocap, tmp_path, encoders)
    assert (tmp_path / "shard-00000.tar").read_bytes() == b"somebody's" and not (tmp_path / ".pack").exists()
    with pytest.raises(UserError, match="is not a folder"):
        extract(packed_iemocap, tmp_path / "shard-00000.tar", encoders)


def test_another_division_is_refused_while_a_task_lives(
    packed_iemocap: Path, encoders: FrozenEncoders, tmp_path: Path
) -> None:
    (tmp_path / "out" / ".pack").mkdir(parents=True)
    with Lock(tmp_path / "out" / ".pack" / "task-0-of-2.lock"), pytest.raises(UserError, match=r"by 2 task\(s\)"):
        extract(packed_iemocap, tmp_path / "out", encoders)


_KILLED = """
import os, sys
from pathlib import Path
from shards import extraction, writer
from shards.encoders import encoders_of_model
added = 0
add = writer.ShardWriter.add
def dying(self, sample):
    global added
    added += 1
    if added == int(sys.argv[4]):
        os.kill(os.getpid(), 9)
    add(self, sample)
writer.ShardWriter.add = dying
extraction.extract(Path(sys.argv[1]), Path(sys.argv[2]), encoders_of_model(Path(sys.argv[3])))
"""


@pytest.mark.timeout(600)
def test_killed_within_a_shard_it_continues_behind_the_last_finished_one(
    model: Path, packed_iemocap: Path, encoders: FrozenEncoders, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [str(packed_iemocap), str(out), str(model), "4"]  # the fourth sample is the second shard's last
    assert subprocess.run([sys.executable, "-c", _KILLED, *words], check=False).returncode == -signal.SIGKILL
    (done,) = out.glob("*.tar")
    before = (done.stat().st_mtime_ns, done.stat().st_ino)
    assert list((out / ".pack").glob("*.tmp")) and not (out / "index.json").exists()
    extract(packed_iemocap, out, encoders)
    assert (done.stat().st_mtime_ns, done.stat().st_ino) == before and not (out / ".pack").exists()
    extract(packed_iemocap, tmp_path / "whole", encoders)
    assert files(out) == files(tmp_path / "whole")


def test_other_options_are_refused_on_the_same_folder(
    packed_iemocap: Path, encoders: FrozenEncoders, tmp_path: Path
) -> None:
    extract(packed_iemocap, tmp_path / "out", encoders)
    with pytest.raises(UserError, match="finished data set of another source or with other options"):
        extract(packed_iemocap, tmp_path / "out", encoders, dtype="float32")
    with pytest.raises(UserError, match="holds features already"):
        extract(tmp_path / "out", tmp_path / "again", encoders)


def test_another_weight_is_another_encoder(model: Path, encoders: FrozenEncoders) -> None:
    again = encoders_of_model(model)
    assert again.identity == encoders.identity
    with torch.no_grad():
        next(again.modules["audio"].parameters()).add_(1e-3)
    from dual_hpc.model.encoders.frozen import identity_of

    assert identity_of({}, again.modules["audio"]) != identity_of({}, encoders.modules["audio"])


def test_new_encoders_have_nothing_to_say() -> None:
    with pytest.raises(UserError, match=r"model\.audio\.path: is not set"):
        encoders_of_config(load_config("demo"))


def test_the_command_says_in_one_line_what_to_change(
    model: Path, packed_iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    for argv, expected in [
        ([str(tmp_path), "--model", str(model)], "has no index.json"),
        ([str(packed_iemocap), "--model", str(tmp_path)], "config.json"),
        ([str(packed_iemocap), "--preset", "demo"], "model.audio.path"),
        ([str(packed_iemocap), "--model", str(model), "a.b=1"], "settings change a preset"),
        ([str(packed_iemocap), "--model", str(model), "--batch", "0"], "--batch: 0"),
    ]:
        assert main(["extract", *argv, *out]) == 2
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1
    assert main(["extract", str(packed_iemocap), "--model", str(model), *out]) == 0
    assert "extracted 4 samples" in capsys.readouterr().out
