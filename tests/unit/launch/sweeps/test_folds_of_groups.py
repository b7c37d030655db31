"""A sweep over the folds of `data.split`: each group is tested once, whatever fold is the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.index import read_index
from dual_hpc.data.format.utterances import Utterances
from dual_hpc.errors import UserError
from launch.runs.plan import split_of
from launch.sweeps.plan import plan_sweep
from tests.unit.launch.cli.test_config import shards_of

OWN = ["name=cv", "launch.profile=local"]


@pytest.mark.parametrize(("how", "folds"), [("3", 3), ("leave_one_out", 4)])
def test_all_folds_of_a_corpus_of_one_s_own_are_members(how: str, folds: int, tmp_path: Path) -> None:
    shards = str(shards_of(tmp_path / "shards"))
    settings = [*OWN, f"store={tmp_path / 'store'}", f"data.split={{speaker: {how}}}"]
    sweep, plans = plan_sweep("own", settings, [shards], ["folds=all"], [])
    assert [member.overrides for member in sweep.sweep.members] == [[f"data.test_fold={n + 1}"] for n in range(folds)]
    tested = [number for plan in plans for number in split_of(plan.config)["test"]]
    assert sorted(tested) == list(range(12))


def test_a_fold_that_there_is_not_is_named(tmp_path: Path) -> None:
    shards = str(shards_of(tmp_path / "shards"))
    settings = [*OWN, f"store={tmp_path / 'store'}", "data.split={speaker: 3}"]
    with pytest.raises(UserError, match=r"data\.test_fold: 4 is not a fold of data\.split; use one of 1, 2, 3"):
        plan_sweep("own", settings, [shards], ["folds=2,4"], [])


def test_the_folds_of_a_protocol_from_a_file_are_members_by_their_names(tmp_path: Path) -> None:
    shards = str(shards_of(tmp_path / "shards"))
    label, other, *_ = sorted({one.label or "" for one in Utterances([Columns.of(read_index(shards))])})
    (tmp_path / "mine.yaml").write_text(
        f"classes: {{one: ['{label}'], two: ['{other}']}}\nfolds: {{by: speaker}}\nvalidation: {{by: speaker}}\n"
    )
    settings = [*OWN, f"store={tmp_path / 'store'}", f"data.protocol={tmp_path / 'mine.yaml'}"]
    sweep, plans = plan_sweep("own", settings, [shards], ["folds=all"], [])
    folds = [member.overrides for member in sweep.sweep.members]
    assert len(folds) == 4 and all(plan.config.data.protocol_definition["name"] == "mine" for plan in plans)
    tested = [number for plan in plans for number in split_of(plan.config)["test"]]
    assert len(set(tested)) == len(tested) > 0
