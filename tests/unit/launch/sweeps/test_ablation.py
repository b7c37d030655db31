"""The switches of a model as members of a sweep, and the table of what each is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.evaluation.prediction_file import write_predictions
from dual_hpc.model.family import FAMILIES
from dual_hpc.run.directory import RunDir
from launch.cli.main import main
from launch.sweeps.ablation import chosen, members, switches_of
from launch.sweeps.grid import SweepDir, folder, grid
from tests.unit.evaluation.comparison.made import corpus, predictions


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


@pytest.mark.parametrize(
    ("family", "left"),
    [
        ("text_only", []),
        ("audio_only", []),
        ("video_only", []),
        ("mult", ["no audio", "no video"]),
        ("mmin", ["no audio", "no video", "no text"]),
    ],
)
def test_a_modality_that_a_family_does_not_read_or_cannot_lack_is_no_switch(family: str, left: list[str]) -> None:
    assert list(switches_of(load_config("demo", [f"model.family={family}"]))) == left


def test_every_switch_of_every_family_makes_a_model_of_its_own() -> None:
    for family in FAMILIES:
        config = load_config("demo", [f"model.family={family}"])
        for settings in switches_of(config).values():
            turned = load_config("demo", [f"model.family={family}", *settings])
            FAMILIES.get(family).check_settings(turned.model)
            assert FAMILIES.get(family).narrowed(turned.model) != FAMILIES.get(family).narrowed(config.model)


def test_a_switch_may_be_one_of_the_family_s_options(monkeypatch: pytest.MonkeyPatch) -> None:
    switches = {"no gate": ("model.options.gate=false",), "narrow": ("model.options.width=8",)}
    monkeypatch.setitem(FAMILIES._things, "dual", replace(FAMILIES.get("dual"), switches=switches))
    config = load_config("demo")
    assert {"no gate", "narrow"} <= switches_of(config).keys()
    config.model.options.update(gate=False, width=16)
    assert "no gate" not in switches_of(config) and "narrow" in switches_of(config)


def test_a_switch_that_is_turned_already_is_left_out() -> None:
    assert "no SDM" not in switches_of(load_config("demo", ["model.use_sdm=false"]))


def test_every_switch_makes_a_configuration_that_can_be_trained() -> None:
    for settings in switches_of(load_config("demo")).values():
        load_config("demo", settings)


def test_an_unknown_switch_is_refused() -> None:
    with pytest.raises(UserError, match="there is no switch 'SDM' to turn; this configuration has 'no SDM', 'no VDM'"):
        chosen(switches_of(load_config("demo")), ["SDM"])


def test_the_list_names_switch_and_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "demo", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["no SDM"] == ["model.use_sdm=false"]
    assert main(["ablate", "demo", "--list"]) == 0
    assert any(line.split() == ["no", "SDM", "model.use_sdm=false"] for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "ablate what?"),
        (["seed=1"], "ablate what?"),
        (["--show", "x", "demo"], "--show takes a sweep that exists"),
        *(
            (["demo", "--dry-run", f"--seeds={seeds}"], f"--seeds: '{seeds}' is not a seed")
            for seeds in ("a", "1.5", "-1", "null")
        ),
        (["demo", "--dry-run", "model.family=text_only"], "text_only has no part that could be turned off"),
        (["demo", "--dry-run", "--parallel", "0"], "--parallel=0"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


def test_a_sweep_that_is_no_ablation_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = SweepDir(folder(tmp_path, "families"), grid("families", ["model.family=dual,late_fusion"]))
    sweep.path.mkdir(parents=True)
    sweep.save()
    for run in sweep.runs():
        made = RunDir.create(run.path, load_config("demo", [f"store={tmp_path}"]))
        write_predictions(made.reports / "test_best_predictions.jsonl", predictions(corpus(), {"av": 0.5}))
    assert main(["ablate", "--show", "families", "--store", str(tmp_path)]) == 2
    assert "families is no ablation" in capsys.readouterr().err


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
