"""The switches of a model as members of a sweep, and the table of what each is worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from launch.cli.main import main
from launch.sweeps.ablation import chosen, members, switches_of


def test_every_switch_is_crossed_with_the_folds_and_seeds_and_the_full_model_comes_first() -> None:
    made = members({"no SDM": ("model.use_sdm=false",)}, seeds=[0, 1], folds=[1, 2])
    assert made == [
        ["data.test_fold=1", "seed=0"],
        ["data.test_fold=1", "seed=1"],
        ["data.test_fold=2", "seed=0"],
        ["data.test_fold=2", "seed=1"],
        ["model.use_sdm=false", "data.test_fold=1", "seed=0"],
        ["model.use_sdm=false", "data.test_fold=1", "seed=1"],
        ["model.use_sdm=false", "data.test_fold=2", "seed=0"],
        ["model.use_sdm=false", "data.test_fold=2", "seed=1"],
    ]
    assert members({}, seeds=[3]) == [["seed=3"]]


def test_each_family_has_its_own_switches_and_all_have_the_modalities() -> None:
    dual = switches_of(load_config("demo"))
    assert {"no SDM", "no VDM", "no residual", "no alignment", "no text"} <= dual.keys()
    fusion = switches_of(load_config("demo", ["model.family=late_fusion"]))
    assert set(fusion) == {"no audio", "no video", "no text"}


def test_a_switch_that_is_turned_already_is_left_out() -> None:
    assert "no SDM" not in switches_of(load_config("demo", ["model.use_sdm=false"]))


def test_every_switch_makes_a_configuration_that_can_be_trained() -> None:
    for settings in switches_of(load_config("demo")).values():
        load_config("demo", settings)


def test_an_unknown_switch_is_refused() -> None:
    with pytest.raises(UserError, match="there is no switch 'SDM'; this model has no SDM"):
        chosen(switches_of(load_config("demo")), ["SDM"])


def test_the_list_names_switch_and_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "demo", "--list"]) == 0
    assert any(line.split() == ["no", "SDM", "model.use_sdm=false"] for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "ablate what?"), (["seed=1"], "ablate what?"), (["--show", "x", "demo"], "--show takes a sweep that exists")],
)
def test_a_mistake_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


def test_the_differences_are_from_the_full_model(
    ablation_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "ablate",
        "--show",
        "demo-ablation",
        "--store",
        str(ablation_store),
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"] == "full"
    (without,) = found["models"][1:]
    assert without["name"] == "use_sdm=false"
    ua = next(one for one in without["measures"] if one["name"] == "UA" and one["subset"] == "av")
    assert ua["difference_interval"][1] < 0 and ua["p_holm"] < 0.01
    assert (tmp_path / "out" / "ablation.tex").exists()
