"""Which runs a sweep is made of, and what came out of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from launch.cluster.state import State
from launch.sweeps.grid import SweepDir, axis, folder, grid, listed, members_of
from launch.sweeps.report import cell, markdown, write
from launch.sweeps.results import Row, Statistic, experiments, rows_of, score_names, scores_on_test, summary


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim.lr=1e-4,3e-4", ("optim.lr", ["1e-4", "3e-4"])),
        ("folds=all", ("data.test_fold", ["1", "2", "3", "4", "5"])),
        ("folds=2,4", ("data.test_fold", ["2", "4"])),
        ("seeds=0..4", ("seed", ["0", "1", "2", "3", "4"])),
        ("optim.betas=[0.9,0.98],[0.9,0.999]", ("optim.betas", ["[0.9,0.98]", "[0.9,0.999]"])),
        ("key=[1,[2,3]],[4]", ("key", ["[1,[2,3]]", "[4]"])),
        ("key={a: [1,2], b: 3},{}", ("key", ["{a: [1,2], b: 3}", "{}"])),
        ("model.text.path=\"/a b,c\", 'd,]e' ,f", ("model.text.path", ['"/a b,c"', "'d,]e'", "f"])),
        ("key=it's,[x's,\"],\"],]y,z", ("key", ["it's", '[x\'s,"],"]', "]y", "z"])),
        ("seed=1\n,2", ("seed", ["1", "2"])),
    ],
)
def test_an_axis_is_a_setting_and_its_values(text: str, expected: tuple[str, list[str]]) -> None:
    assert axis(text, folds=range(1, 6)) == expected


def test_all_folds_are_those_of_the_protocol() -> None:
    assert axis("folds=all", folds=(3, 7)) == ("data.test_fold", ["3", "7"])
    assert len(grid("cv", ["folds=all", "seeds=0,1"], lambda settings: (3, 7)).members) == 4
    with pytest.raises(UserError, match=r"folds=all: data\.protocol has one division"):
        axis("folds=all")


@pytest.mark.parametrize(
    "text",
    ["optim.lr", "=1", "optim.lr=", "seed=1,1", "seeds=4..0", "seed=,", "seed=1,,2", "seed=1, ,2", "seeds=0..9999999"],
)
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        axis(text)


def test_a_grid_is_every_combination_under_a_name_that_tells_it() -> None:
    sweep = grid("cv", ["folds=1,2", "seeds=0..1"])
    assert [member.name for member in sweep.members] == [
        *("cv.test_fold-1.seed-0", "cv.test_fold-1.seed-1", "cv.test_fold-2.seed-0", "cv.test_fold-2.seed-1")
    ]
    assert sweep.members[2].overrides == ["data.test_fold=2", "seed=0"]


@given(
    st.lists(
        st.lists(
            st.sampled_from(["seed=1", "seed=2", "optim.lr=1e-4", "name_=äö/..", "data.shards=[/a/b]"]), min_size=1
        ),
        min_size=1,
        max_size=6,
        unique_by=tuple,
    )
)
def test_every_member_has_a_name_that_a_run_may_have(members: list[list[str]]) -> None:
    try:
        sweep = listed("s", members)
    except UserError as error:
        assert "the same" in str(error) or "set twice" in str(error)
        return
    names = [member.name for member in sweep.members]
    assert len(set(names)) == len(members)
    for name in names:
        assert load_config(None, [f"name={name}"]).name == name


@pytest.mark.parametrize("axes", [["seed=1,2", "seeds=3..4"], []])
def test_a_grid_that_means_nothing_is_refused(axes: list[str]) -> None:
    with pytest.raises(UserError):
        grid("s", axes) if axes else listed("s", [])


def test_a_sweep_is_found_again(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sweep 'cv'"):
        SweepDir.open(tmp_path, "cv")
    path = folder(tmp_path, "cv")
    path.mkdir(parents=True)
    SweepDir(path, grid("cv", ["folds=1..5"])).save()
    again = SweepDir.open(tmp_path, "cv")
    assert again.runs()[0].path == tmp_path / "runs" / "cv.test_fold-1"


def row(name: str, state: str, *overrides: str, **scores: float) -> Row:
    names = {"val": "validation", "av": "test UA {A,V}", "avt": "test UA {A,V,T}"}
    return Row(name, list(overrides), State(state), 3, 3, {names[key]: value for key, value in scores.items()})


# By hand: 0.50, 0.60, 0.70 have the mean 0.6 and the squared deviations 0.01 + 0 + 0.01, hence the deviation
# sqrt(0.02 / 2) = 0.1; 0.40, 0.44 have 0.42 and sqrt(2 * 0.02 ** 2) = 0.0283.
FOLDS = [
    row("cv.1", "finished", "data.test_fold=1", val=0.50, av=0.40),
    row("cv.2", "finished", "data.test_fold=2", val=0.60, av=0.44),
    row("cv.3", "finished", "data.test_fold=3", val=0.70),
    row("cv.4", "failed", "data.test_fold=4", val=0.99, av=0.99),
    row("cv.5", "queued", "data.test_fold=5"),
]


def test_mean_and_deviation_are_those_computed_by_hand_over_the_finished_members() -> None:
    found = summary(FOLDS)
    assert found == {
        "validation": Statistic(pytest.approx(0.6), pytest.approx(0.1), 3),
        "test UA {A,V}": Statistic(pytest.approx(0.42), pytest.approx(0.0282843, abs=1e-6), 2),
    }
    assert (
        cell("validation", found["validation"]) == "60.0 ± 10.0 (3)"
        and cell("test UA {A,V}", found["test UA {A,V}"]) == "42.0 ± 2.8 (2)"
    )


def test_the_deviation_of_one_run_is_not_zero_but_unknown() -> None:
    (found,) = summary([row("a", "finished", val=0.5)]).values()
    assert found == Statistic(0.5, None, 1) and cell("validation", found) == "50.0 (1)"


def test_members_that_differ_in_fold_and_seed_alone_are_one_experiment() -> None:
    rows = [
        row(f"{lr}.{fold}.{seed}", "finished", f"optim.lr={lr}", f"data.test_fold={fold}", f"seed={seed}", val=score)
        for lr, base in (("1e-4", 0.5), ("3e-4", 0.7))
        for fold, seed, score in ((1, 0, base), (1, 1, base + 0.1), (2, 0, base + 0.2), (2, 1, base + 0.3))
    ]
    found = experiments(rows)
    assert [(one.settings, one.members) for one in found] == [(("optim.lr=1e-4",), 4), (("optim.lr=3e-4",), 4)]
    # By hand: 0, 0.1, 0.2, 0.3 have the squared deviations 0.0225 + 0.0025 + 0.0025 + 0.0225 = 0.05; / 3 = 0.01667.
    assert [one.scores["validation"].mean for one in found] == [pytest.approx(0.65), pytest.approx(0.85)]
    assert all(one.scores["validation"].std == pytest.approx(0.1290994) for one in found)


def test_the_page_names_what_the_means_lack() -> None:
    page = markdown("cv", FOLDS)
    assert "| mean ± deviation (n) |  | of 5 |  | 60.0 ± 10.0 (3) | 42.0 ± 2.8 (2) |" in page
    assert "Not in the means: cv.4 (failed), cv.5 (queued)" in page and "Without test scores: cv.3;" in page
    assert len({line.count("|") for line in page.splitlines() if line.startswith("|")}) == 1


def test_the_json_has_every_number(tmp_path: Path) -> None:
    path = folder(tmp_path, "cv")
    path.mkdir(parents=True)
    sweep = SweepDir(path, grid("cv", ["folds=1..5"]))
    write(sweep, FOLDS)
    found = json.loads((path / "table.json").read_text())
    assert found["incomplete"] == {"cv.3": "not evaluated", "cv.4": "failed", "cv.5": "queued"}
    assert found["scores"]["validation"] == {"mean": pytest.approx(0.6), "std": pytest.approx(0.1), "runs": 3}
    assert found["experiments"][0]["members"] == len(found["members"]) == 5
    assert (path / "table.md").read_text() == markdown("cv", FOLDS)


def test_test_scores_are_those_of_the_report(tmp_path: Path) -> None:
    report = tmp_path / "test_best.json"
    assert scores_on_test(report.parent) == {}
    for torn in ("", "{", "[]", '{"subsets": {"av": {}}}', '{"subsets": 3}'):
        report.write_text(torn)
        assert scores_on_test(report.parent) == {}
    report.write_text(json.dumps({"subsets": {"av": {"wa": 0.5, "ua": 0.25, "weighted_f1": 0.125}}}))
    assert scores_on_test(report.parent) == {"test WA {A,V}": 0.5, "test UA {A,V}": 0.25, "test wF1 {A,V}": 0.125}


def test_a_score_of_a_metric_that_is_not_loaded_is_shown_as_it_is_and_last(tmp_path: Path) -> None:
    report = tmp_path / "test_best.json"
    values = {"count": 9, "brier": 0.25, "macro_f1": 0.5, "wa": 0.75, "interval": {"wa": [0, 1]}}
    report.write_text(json.dumps({"subsets": {"av": values}}))
    one = Row("a", [], State.FINISHED, 3, 3, {**scores_on_test(report.parent), "validation": 0.5})
    assert score_names([one]) == ["validation", "test WA {A,V}", "test mF1 {A,V}", "test brier {A,V}"]
    assert "| 50.0 | 75.0 | 50.0 | 0.250 |" in markdown("cv", [one])


def test_a_member_whose_directory_is_gone_is_missing_and_hides_no_other(tmp_path: Path) -> None:
    path = folder(tmp_path, "cv")
    path.mkdir(parents=True)
    sweep = SweepDir(path, grid("cv", ["folds=1,2"]))
    RunDir.create(sweep.runs()[1].path, load_config("demo", ["name=cv.test_fold-2"]))
    assert [one.state for one in rows_of(sweep)] == ["missing", "not submitted"]


@pytest.mark.parametrize("content", ["", "{", '{"name": "cv"}', '{"name": "cv", "members": 3}'])
def test_a_broken_description_of_a_sweep_is_one_line(content: str, tmp_path: Path) -> None:
    path = folder(tmp_path, "cv")
    path.mkdir(parents=True)
    (path / "sweep.json").write_text(content)
    with pytest.raises(UserError, match=r"sweep.json is not a valid description"):
        SweepDir.open(tmp_path, "cv")
    with pytest.raises(UserError, match="not a valid name of a sweep"):
        SweepDir.open(tmp_path, "../cv")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["optim.lr=1e-4 seed=1"], [["optim.lr=1e-4", "seed=1"]]),
        (["'data.shards=[/a b/c]' seed=1"], [["data.shards=[/a b/c]", "seed=1"]]),
    ],
)
def test_a_member_is_quoted_as_in_a_shell(words: list[str], expected: list[list[str]]) -> None:
    assert members_of(words) == expected


@pytest.mark.parametrize("words", [[""], ["  "], ["'seed=1"]])
def test_a_member_of_nothing_is_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match="--member"):
        members_of(words)


def test_members_whose_names_would_collide_are_numbered() -> None:
    sweep = listed("s", [["data.shards=[/a/b]"], ["data.shards=[/a_b]"]])
    assert [member.name for member in sweep.members] == ["s.000", "s.001"]
