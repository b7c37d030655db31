"""Which runs a sweep is made of, and what came out of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from launch.gather import Row, summary
from launch.sweep import SweepDir, axis, folder, grid, listed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim.lr=1e-4,3e-4", ("optim.lr", ["1e-4", "3e-4"])),
        ("folds=all", ("data.test_fold", ["1", "2", "3", "4", "5"])),
        ("folds=2,4", ("data.test_fold", ["2", "4"])),
        ("seeds=0..4", ("seed", ["0", "1", "2", "3", "4"])),
        ("optim.betas=[0.9,0.98],[0.9,0.999]", ("optim.betas", ["[0.9,0.98]", "[0.9,0.999]"])),
    ],
)
def test_an_axis_is_a_setting_and_its_values(text: str, expected: tuple[str, list[str]]) -> None:
    assert axis(text) == expected


@pytest.mark.parametrize("text", ["optim.lr", "=1", "optim.lr=", "seed=1,1", "seeds=4..0", "seed=,"])
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
        assert "the same" in str(error)
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
    SweepDir(path, grid("cv", ["folds=all"])).save()
    again = SweepDir.open(tmp_path, "cv")
    assert again.runs()[0].path == tmp_path / "runs" / "cv.test_fold-1"


def test_the_mean_is_over_the_finished_members() -> None:
    rows = [
        Row("a", [], "finished", 1, 1, {"validation": 0.5, "test UA {A,V}": 0.6}),
        Row("b", [], "finished", 1, 1, {"validation": 0.7}),
        Row("c", [], "failed", 1, 1, {"validation": 0.0}),
    ]
    found = summary(rows)
    assert found["validation"] == (pytest.approx(0.6), pytest.approx(0.1414, abs=1e-4), 2)
    assert found["test UA {A,V}"] == (0.6, 0.0, 1) and len(found) == 2
