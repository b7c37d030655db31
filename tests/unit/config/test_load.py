from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.config import load_config, preset_names, save_config
from dual_hpc.errors import UserError


@pytest.mark.parametrize("preset", ["demo", "iemocap4", "iemocap6", "meld", "own", "own-pretrained", "scratch"])
def test_every_preset_loads_and_comes_back_from_its_file(preset: str, tmp_path: Path) -> None:
    config = load_config(preset)
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert preset in preset_names()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainin.epochs=3", "training"),
        ("training.epoch=3", "did you mean training.epochs"),
        ("training.epochs=many", "training.epochs"),
        ("training.epochs=0", "training.epochs"),
        ("training=3", "training"),
        ("name.x=3", "name"),
        ("name=../../etc", "name"),
        ("optim.lr", "section.key=value"),
        ("=3", "section.key=value"),
        ("optim..lr=3", "section.key=value"),
        (".lr=3", "section.key=value"),
        ("lr=3", "did you mean optim.lr"),
        ("training.lr=3", "did you mean optim.lr"),
        ("use_sdm=false", "did you mean model.use_sdm"),
        ("model.sdm=false", "did you mean model.use_sdm"),
        ("Optim.lr=3", "did you mean optim"),
        ("seed=true", "seed: input should be a number"),
        ("training.max_steps=true", "training.max_steps: input should be a number"),
        ("optim.lr=.inf", "optim.lr: input should be a finite number"),
        ("optim.betas=[0.9, 1.5]", "optim.betas.1"),
        ("launch.hours=1:30", "launch.hours"),
        ("tracking.sync_seconds=1e300", "tracking.sync_seconds: input should be at most"),
        ("training.epochs=99999999999999999999999", "training.epochs: input should be at most"),
        ("checkpoint.give_up_minutes=1e7", "checkpoint.give_up_minutes"),
        ("data.shards=/a b/c", "write [A, B]"),
        ("optim.betas=0.9", "write [A, B]"),
        ("store=@x", "cannot start any token"),
        ("training={epochs: 3, epochs: 4}", "epochs is given twice"),
        ("training.epochs=", "training.epochs: input should be a valid integer"),
        ("name=", "name: string should match"),
        ("tracking.experiment=", "tracking.experiment"),
        ("tracking.tags={'a/../b': c}", "tracking.tags.a/../b"),
        ("tracking.tags={dual.run_id: c}", "not dual"),
        ("name=123", "put it in quotes"),
        ("training.select_modalities=aa", "'av'"),
        ("model.audio.trainable=true", "model.audio.trainable"),
        ("model.audio.trainable=-3", "number of top layers"),
        ("model.audio.trainable=some", "number of top layers"),
        ("data.shards=[", "YAML"),
        ("data.shards=['$DUAL_NOT_SET']", "DUAL_NOT_SET"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_it(override: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config("demo", [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_second_folder_of_shards_is_told_how_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"section\.key=value; write --shards before each folder of shards"):
        load_config("demo", [str(tmp_path)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"- a\n- b\n", "mapping of sections"),
        (b"a: [", "line 1"),
        (b"a: \0", "mine.yaml"),
        (b"model: {hiden_size: 3}", "did you mean model.hidden_size"),
        (b"data:\n\tprotocol: all\n", "line 2, column 1"),
        (b"seed: 1\nseed: 2\n", "seed is given twice"),
        (b"optim.lr: 1e-3\n", "below optim:"),
        (b"seed: 1\n---\nseed: 2\n", "document"),
    ],
)
def test_a_broken_file_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["iemocap5", "../presets/demo", "/etc/passwd", "", "a\0b", "a\0b.yaml", "x" * 5000])
def test_what_is_neither_preset_nor_file_is_refused(source: str) -> None:
    with pytest.raises(UserError):
        load_config(source)


def test_a_section_whose_keys_are_all_commented_out_has_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("data:\n#  workers: 1\noptim: {lr: 1e-4}\n")
    assert load_config(path, ["store=s"]) == load_config(None, ["store=s", "optim.lr=1e-4"])


def test_what_may_be_empty_is_empty_when_nothing_is_written() -> None:
    empty = ("store", "tracking.uri", "tracking.tags", "data.shards", "model.audio.config", "launch.account", "optim")
    plain = load_config("demo", ["optim={}", "store="])
    assert load_config("demo", [f"{key}=" for key in empty]) == plain


def test_trainable_layers_are_all_none_or_a_number() -> None:
    wanted = ("all", "none", 0, 4)
    assert tuple(load_config(None, [f"model.audio.trainable={n}"]).model.audio.trainable for n in wanted) == wanted


@pytest.mark.parametrize(("said", "workers"), [("auto", "auto"), ("0", 0), ("12", 12), ("'3'", 3)])
def test_data_workers_are_auto_or_a_number(said: str, workers: str | int) -> None:
    assert load_config(None, [f"data.workers={said}"]).data.workers == workers
    assert load_config(None).data.workers == "auto"


@pytest.mark.parametrize("said", ["-1", "many", "true", "1.5", "", "[2]", "5000000000"])
def test_other_data_workers_are_refused_by_name(said: str) -> None:
    with pytest.raises(UserError, match=r"data\.workers"):
        load_config(None, [f"data.workers={said}"])


def test_the_last_override_wins() -> None:
    assert load_config("demo", ["seed=1", "seed=2"]).seed == 2
