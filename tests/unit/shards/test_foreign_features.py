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
from dual_hpc.errors import UserError
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
    widths = {name: [(one.width, one.dtype, one.hz) for one in arrays] for name, arrays in found.features().items()}
    assert widths == {"audio": [(8, "<f4", 50.0)], "video": [(4, "<f4", 5.0)], "text": [(5, "<f4", None)]}
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
        ({"video": np.full((10, 4), -np.inf)}, r"video: its numbers are not all finite"),
        ({"video": np.full((10, 4), 1e300)}, r"video: its numbers do not fit --dtype float32"),
        ({"audio": np.zeros((8, 100))}, r"\[8, 100\], not \[steps, 8\] as --array says; transpose it"),
        ({"audio": np.zeros((3, 100, 8))}, r"\[3, 100, 8\], not \[steps, 8\] as --array says$"),
        ({"words": np.float32(1.0)}, r"words: .* is of shape \[\], not \[steps, 5\]"),
    ],
)
def test_an_array_that_is_not_as_declared_is_refused(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack(table(tmp_path, "npy", **changed), tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "table.csv:5" in error
    assert re.search(said, error, re.M), error


def rewritten(source: Path, **columns: str) -> Path:
    """The table with other cells in these columns; `{id}` is the row's."""
    header, *rows = (line.split(",") for line in source.read_text().splitlines())
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    for row in cells:
        row.update({name: text.replace("{id}", row["id"]) for name, text in columns.items()})
    source.write_text("\n".join(",".join(row) for row in (header, *(list(row.values()) for row in cells))) + "\n")
    return source


def test_rates_that_disagree_are_refused_without_a_duration_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {"video": np.zeros((30, 4), np.float32)}  # as of 15 per second
    assert pack(rewritten(table(tmp_path, "npy", **slow), duration=""), tmp_path / "out") == 2
    assert re.search(
        r"audio has 103 steps, 2\.06 s at 50 per second, but another of its arrays lasts 6\.00 s",
        capsys.readouterr().err,
    )


def test_other_arrays_of_the_same_shape_are_not_taken_for_those_that_were_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = table(tmp_path, "npy"), tmp_path / "out"
    assert pack(source, out) == 0 and pack(source, out) == 0
    np.save(tmp_path / "utt2.audio.npy", arrays()["utt2"]["audio"] + 1)
    assert pack(source, out) == 2
    assert "holds a finished data set of another source" in capsys.readouterr().err


def test_without_labels_they_are_packed_and_what_is_missing_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = {"video": np.zeros((0, 4), np.float32)}
    assert pack(rewritten(table(tmp_path, "npy", **nothing), label=""), tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "video: 5 of 6 have any" in said and "0 have a label; only predict takes them" in said
    assert pack(rewritten(tmp_path / "table.csv", video=""), tmp_path / "second") == 2
    assert "--array: video is declared, but no row of table.csv names one" in capsys.readouterr().err


def test_a_file_may_have_the_sign_of_an_entry_in_its_name(tmp_path: Path) -> None:
    source = table(tmp_path, "npy")
    for key in arrays():
        (tmp_path / f"{key}.audio.npy").rename(tmp_path / f"{key}#1.npy")
    assert pack(rewritten(source, audio="{id}#1.npy"), tmp_path / "out") == 0
    assert verify(tmp_path / "out") == []


def test_features_of_one_maker_are_read_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for corpus in ("one", "two", "three"):
        (tmp_path / corpus).mkdir()
        maker = [] if corpus == "three" else ["--maker", "wavlm"]
        assert pack(table(tmp_path / corpus, "npy"), tmp_path / corpus / "out", "--name", corpus, *maker) == 0
    folders = [tmp_path / corpus / "out" for corpus in ("one", "two", "three")]
    feature_source(ShardDataset(folders[:2]))
    with pytest.raises(UserError, match="differ in audio_encoder"):
        feature_source(ShardDataset(folders))
    assert pack(tmp_path / "one" / "table.csv", tmp_path / "out", "--maker", "../x") == 2
    assert "--maker: '../x' is not a plain name" in capsys.readouterr().err


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


def test_corpora_train_together_where_one_maker_is_named_and_are_refused_when_planned_where_none_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = [word for one in ("audio=8@50", "video=4@5", "words=5") for word in ("--array", one)]
    source = table(tmp_path, "npz")

    def packed(name: str, *options: str) -> str:
        words = ["pack", "features", str(source), *declared, "--name", name, *options]
        assert main([*words, "--out", str(tmp_path / name)]) == 0
        return str(tmp_path / name)

    def planned(*folders: str) -> int:
        shards = [word for folder in folders for word in ("--shards", folder)]
        words = ["sweep", "--preset", "demo", *shards, "name=x", f"store={tmp_path / 'store'}", "data.test_fold=1"]
        split = "data.split={corpus: leave_one_out}"
        words += ["launch.profile=local", "data.protocol=all", split]
        return main([*words, "--grid", "seeds=0", "--dry-run"])

    alike = [packed(name, "--maker", "mine-2") for name in ("one", "two", "three")]
    assert planned(*alike) == 0
    capsys.readouterr()
    assert planned(*alike, packed("four")) == 2
    said = capsys.readouterr().err
    assert "differ in audio_encoder" in said and "--maker" in said


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
