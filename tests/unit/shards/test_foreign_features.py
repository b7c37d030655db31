"""Arrays that somebody else made become feature shards; pickles and arrays that are not as declared are refused."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.config import RunConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import feature_source
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.training.shard_config import config_for_shards
from launch.cli.main import main
from shards.verify import verify

ROWS = 6
FORMS = ("npy", "npz", "pt", "h5")


def arrays() -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    return {
        f"utt{n}": {
            "audio": random.standard_normal((100 + n, 8)).astype(np.float32),
            "video": random.standard_normal((10, 4)).astype(np.float32),
            "words": random.standard_normal((3 + n, 5)).astype(np.float32),
        }
        for n in range(ROWS)
    }


def table(folder: Path, form: str, **changed: Any) -> Path:
    """The arrays in one form (`npy`: a file each; else a file per modality) and the table that names them."""
    made = {key: {**values, **{k: v for k, v in changed.items() if key == "utt3"}} for key, values in arrays().items()}
    cells: dict[str, dict[str, str]] = {key: {} for key in made}
    for name in ("audio", "video", "words"):
        own = {key: values[name] for key, values in made.items()}
        if form == "npy":
            for key, value in own.items():
                np.save(folder / f"{key}.{name}.npy", value)
                cells[key][name] = f"{key}.{name}.npy"
            continue
        file = folder / f"{name}.{form}"
        if form == "npz":
            np.savez(file, **own)
        elif form == "pt":
            torch.save({key: torch.from_numpy(value) for key, value in own.items()}, file)
        else:
            h5py = pytest.importorskip("h5py")
            with h5py.File(file, "w") as opened:
                for key, value in own.items():
                    opened[f"all/{key}"] = value
        for key in cells:
            cells[key][name] = f"{file.name}#all/{key}" if form == "h5" else file.name
    lines = ["id,audio,video,words,text,label,duration"]
    lines += [
        f"{k},{c['audio']},{c['video']},{c['words']},hello,{'ab'[n % 2]},2.0" for n, (k, c) in enumerate(cells.items())
    ]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


def pack(source: Path, out: Path, *extra: str) -> int:
    said = ["--array", "audio=8@50", "--array", "video=4@5", "--array", "words=5"]
    return main(["pack", "features", str(source), "--out", str(out), *said, *extra])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_shards_that_a_run_can_be_configured_for(form: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pack(table(tmp_path, form), out) == 0
    assert verify(out) == []
    found = ShardDataset([out])
    assert found.features() == {"audio": (8, "<f4"), "video": (4, "<f4"), "text": (5, "<f4")}
    with SampleReader() as reader:
        for number, entry in enumerate(found.samples):
            stored = reader.read(found.ref(number))
            for column, member in (("audio", "audio.npy"), ("video", "video.npy"), ("words", "text.npy")):
                assert np.array_equal(np.load(io.BytesIO(stored[member])), arrays()[entry.sample.meta.key][column])
            assert stored["txt"] == b"hello" and entry.sample.meta.duration == 2.0
    source = feature_source(found)
    assert source is not None and source.encoders["audio"]["rate_hz"] == 50.0
    assert source.preprocessing["video_hz"] == 5.0
    config = config_for_shards(RunConfig.model_validate({"data": {"protocol": "all"}}), found)
    assert config.model.audio.kind == "features" and config.model.text.config["width"] == 5
    assert pack(tmp_path / "table.csv", out) == 0  # finished: nothing is done again


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"audio": np.zeros((100, 7), np.float32)},
            r"audio: utt3\.audio\.npy is of shape \[100, 7\], not \[steps, 8\]",
        ),
        ({"audio": np.zeros((400, 8), np.float32)}, r"audio has 400 steps, 8\.00 s at 50 per second, but .* 2\.00 s"),
        ({"video": np.full((10, 4), np.nan, np.float32)}, r"video: its numbers are not all finite"),
    ],
)
def test_an_array_that_is_not_as_declared_is_refused(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack(table(tmp_path, "npy", **changed), tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "table.csv:5" in error
    assert re.search(said, error), error


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("name", ["x.pkl", "x.npy", "x.npz", "x.pt", "object.npy", "object.npz"])
def test_no_pickle_is_read_under_any_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, ran = table(tmp_path, "npy"), tmp_path / "ran"
    harm = Harmful(str(ran))
    if name == "object.npy":
        np.save(tmp_path / name, np.array([harm], object), allow_pickle=True)
    elif name == "object.npz":
        np.savez(tmp_path / name, utt3=np.array([harm], object))
    elif name == "x.pt":
        torch.save({"utt3": harm}, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(harm))
    source.write_text(source.read_text().replace("utt3.audio.npy", name))
    assert pack(source, tmp_path / "out") == 2
    assert not ran.exists()
    assert name in capsys.readouterr().err


def test_links_out_of_an_h5_file_are_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    h5py = pytest.importorskip("h5py")
    source = table(tmp_path, "h5")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.zeros((100, 8), np.float32)
    with h5py.File(tmp_path / "audio.h5", "a") as file:
        del file["all/utt3"]
        file["all/utt3"] = h5py.ExternalLink("other.h5", "x")
    assert pack(source, tmp_path / "out") == 2
    assert "is a link to another place" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["audio=8", "words=5@10", "audio=0@50", "face=8@5", "audio=8@0"])
def test_what_is_declared_wrongly_is_named(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", "features", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out"), "--array", words]) == 2
    assert "--array" in capsys.readouterr().err
