"""`dual-hpc config`: what is printed can be trained with."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import RunConfig, load_config, preset_names
from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.sample import Utterance
from dual_hpc.run.directory import RunDir
from launch.cli.main import main
from launch.runs.plan import plan_run, split_of


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "store"


def shown(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: str) -> RunConfig:
    assert main(["config", "show", *words]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out)
    return load_config(tmp_path / "shown.yaml")


@pytest.mark.parametrize("more", [[], ["--changed"]])
def test_what_is_shown_is_the_configuration(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "optim.lr=1e-5", "model.video.config={width: 8}"]
    assert shown(capsys, tmp_path, *words, *more) == load_config(words[0], words[1:])


def test_only_what_is_changed_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "training.epochs=3", "--changed"]) == 0
    assert capsys.readouterr().out == "training:\n  epochs: 3\n"
    assert main(["config", "show", "--changed"]) == 0
    assert capsys.readouterr().out == "{}\n"


def test_two_runs_differ_in_what_they_were_given(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, settings in (("a", []), ("b", ["optim.lr=1e-5", "launch.hours=3"])):
        RunDir.create(store / "runs" / name, load_config("demo", [f"name={name}", *settings]))
    assert main(["config", "diff", "a", "b"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["setting", "a", "b"],
        ["name", "a", "b"],
        ["optim.lr", "0.002", "1e-05"],
        ["launch.hours", "1.0", "3.0"],
    ]
    assert main(["config", "diff", "demo", "demo"]) == 0
    assert capsys.readouterr().out == "no setting differs\n"


def shards_of(folder: Path, **fields: object) -> Path:
    """An index of 12 samples, of which no tar is needed to write a configuration."""
    labels = ("calm", "angry", "happy")
    own = {"corpus": "mine", "utterance": 0, "duration": 1.0, **fields}
    metas = [
        Utterance(**{"key": f"u{n}", "dialogue": f"u{n}", "speaker": f"s{n % 4}", "label": labels[n % 3], **own})
        for n in range(12)
    ]
    shard = Shard(name="0.tar", bytes=1, sha256="0", samples=[IndexedSample(meta=one, members={}) for one in metas])
    folder.mkdir(parents=True)
    write_index(folder, ShardIndex(dataset_id=dataset_id([shard]), corpus="mine", options={}, shards=[shard]))
    return folder


def test_a_new_file_has_what_the_shards_need_and_can_be_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = shards_of(tmp_path / "shards", has_video=False), tmp_path / "my corpus.yaml"
    assert main(["config", "init", str(file), "--shards", str(folder)]) == 0
    config = load_config(file)
    assert config.name == "my_corpus" and config.data.shards == [str(folder)] and config.data.protocol == "all"
    assert config.data.split == {"speaker": [0.7, 0.15, 0.15]}
    assert (config.model.use_audio, config.model.use_video, config.model.use_text) == (True, False, True)
    assert "angry 4, calm 4, happy 4" in file.read_text()
    parts = split_of(plan_run(str(file), None, []).config)
    assert all(parts.values()) and sum(map(len, parts.values())) == 12
    capsys.readouterr()
    assert main(["config", "init", str(file)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_few_utterances_of_real_speech_get_more_passes(tmp_path: Path) -> None:
    folder, file = shards_of(tmp_path / "shards"), tmp_path / "mine.yaml"
    assert main(["config", "init", str(file), "--preset", "scratch", "--shards", str(folder)]) == 0
    config = load_config(file)
    assert config.training == load_config("scratch", ["training.epochs=120"]).training


@pytest.mark.parametrize("file", ["123.yaml", "no.yaml", "1e5.yml", "-x.yaml", "感情.yaml", "a" * 90 + ".yaml"])
def test_what_others_have_written_and_odd_names_stay_text(file: str, tmp_path: Path) -> None:
    folder = shards_of(tmp_path / "shards", label="a\nseed: 7\x1b[31m", speaker="s\nseed: 8", corpus="c\nseed: 9")
    assert main(["config", "init", str(tmp_path / file), "--shards", str(folder)]) == 0
    assert load_config(tmp_path / file).seed == 0
    assert "\x1b" not in (tmp_path / file).read_text()


def test_shards_with_a_split_and_all_modalities_need_no_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "init", "--shards", str(shards_of(tmp_path / "shards", split="train"))]) == 0
    text = capsys.readouterr().out
    assert "preset: own" in text and "or scratch" in text and "split:" not in text and "use_" not in text


def test_pretrained_encoders_are_taken_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUAL_MODELS", str(tmp_path / "models"))
    folder = shards_of(tmp_path / "shards")
    assert main(["config", "init", "--shards", str(folder)]) == 0
    assert "preset: own " in capsys.readouterr().out
    for name in ("wav2vec2-base", "resnet-50", "bert-base-uncased"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "config.json").write_text("{}")
    assert main(["config", "init", "--shards", str(folder)]) == 0
    assert "preset: own-pretrained " in capsys.readouterr().out


def test_encoders_of_what_the_corpus_lacks_need_not_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUAL_MODELS", str(tmp_path / "models"))
    (tmp_path / "models" / "wav2vec2-base").mkdir(parents=True)
    (tmp_path / "models" / "wav2vec2-base" / "config.json").write_text("{}")
    for name, lacks, preset in (
        ("sound", {"has_video": False, "has_text": False}, "own-pretrained"),
        ("all", {}, "own"),
    ):
        assert main(["config", "init", "--shards", str(shards_of(tmp_path / name, **lacks))]) == 0
        assert f"preset: {preset} " in capsys.readouterr().out


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_listed_and_begins_a_file(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "init"]) == 0
    assert f"\n{preset} " in "\n" + capsys.readouterr().out
    assert main(["config", "init", str(tmp_path / "x.yaml"), "--preset", preset]) == 0
    assert load_config(tmp_path / "x.yaml") == load_config(preset, ["name=x"])
