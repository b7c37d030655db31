"""Who can decide what a run directory makes us run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from dual_hpc.files.ownership import first_risk, keep_others_out, require_own
from dual_hpc.run import names
from tests.unit.other_user import STRANGER, needs_root

PROJECT = 23_456  # a group id


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory as `RunDir.create` and a submission leave it."""
    folder = tmp_path / "store" / "runs" / "mine"
    (folder / names.LOGS).mkdir(parents=True)
    for name in (names.CODE_ARCHIVE, names.CONFIG, names.IDENTITY, names.SUBMISSIONS, "logs/7_submitted.pkl"):
        (folder / name).write_text("")
    (folder / names.JOURNAL).write_text("")
    return folder


@pytest.fixture
def in_project() -> Iterator[None]:
    """This user is a member of the project's group."""
    before = os.getgroups()
    os.setgroups([*before, PROJECT])
    yield
    os.setgroups(before)


EXECUTED = ("", names.CODE_ARCHIVE, names.CONFIG, names.IDENTITY, names.SUBMISSIONS, names.LOGS, "logs/7_submitted.pkl")


def test_a_run_of_one_s_own_is_used(run: Path) -> None:
    assert first_risk(run, names.EXECUTED) is None
    assert first_risk(run.with_name("new"), names.EXECUTED) is None
    (run / names.JOURNAL).chmod(0o666)  # it is data: nothing of it is run
    assert first_risk(run, names.EXECUTED) is None


@pytest.mark.parametrize("name", [*EXECUTED, "..", "../.."])
@pytest.mark.parametrize("mode", [0o777, 0o757, 0o722])
def test_what_everybody_may_write_is_refused_by_its_name(name: str, mode: int, run: Path) -> None:
    place = (run / name).resolve()
    place.chmod(mode)
    with pytest.raises(UserError, match=r"can be written by everybody, and .* --trust") as caught:
        require_own(run, names.EXECUTED)
    assert str(caught.value).startswith(f"{place} ") and "\n" not in str(caught.value)
    require_own(run, names.EXECUTED, trust=True)


@needs_root
@pytest.mark.parametrize("name", [*EXECUTED, "..", "../.."])
def test_what_belongs_to_somebody_else_is_refused_by_its_name(name: str, run: Path) -> None:
    place = (run / name).resolve()
    os.chown(place, STRANGER, STRANGER)
    with pytest.raises(UserError, match=f"belongs to user {STRANGER}, and .* --trust") as caught:
        require_own(run, names.EXECUTED)
    assert str(caught.value).startswith(f"{place} ")


@needs_root
@pytest.mark.parametrize("name", EXECUTED)
def test_what_a_group_may_write_is_refused_within_a_run(name: str, run: Path, in_project: None) -> None:
    os.chown(run / name, 0, PROJECT)
    (run / name).chmod(0o775)
    found = first_risk(run, names.EXECUTED)
    assert found == (run / name, f"can be written by the group {PROJECT}")
    (run / name).chmod(0o755)
    assert first_risk(run, names.EXECUTED) is None


@needs_root
def test_a_project_s_store_is_shared_by_those_of_its_group_alone(run: Path, in_project: None) -> None:
    store = run.parents[1]
    for folder in (store, store / "runs"):
        os.chown(folder, STRANGER, PROJECT)
        folder.chmod(0o2775)
    assert first_risk(run, names.EXECUTED) is None
    store.chmod(0o2777)
    assert first_risk(run, names.EXECUTED) == (store, "can be written by everybody")
    os.chown(store, STRANGER, PROJECT + 1)
    store.chmod(0o2775)
    assert first_risk(run, names.EXECUTED) == (store, f"belongs to user {STRANGER}")


@needs_root
def test_a_link_to_a_run_is_judged_as_a_link_and_as_what_it_leads_to(run: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(run)
    assert first_risk(link, names.EXECUTED) is None
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    assert first_risk(link, names.EXECUTED) == (link, f"is a link that belongs to user {STRANGER}")
    os.chown(link, 0, 0, follow_symlinks=False)
    os.chown(run, STRANGER, STRANGER)
    assert first_risk(link, names.EXECUTED) == (link, f"belongs to user {STRANGER}")


def test_a_folder_like_tmp_may_hold_a_store(run: Path) -> None:
    run.parents[1].chmod(0o1777)
    assert first_risk(run, names.EXECUTED) is None
    run.chmod(0o1777)  # but a run directory must not be like that: others add files
    assert first_risk(run, names.EXECUTED) == (run, "can be written by everybody")


def test_the_umask_of_a_shared_store_gives_nobody_a_run(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "a").chmod(0o666)
    keep_others_out(tmp_path / "a")
    keep_others_out(tmp_path / "gone")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@needs_root
def test_the_remedy_is_that_of_the_place(run: Path, in_project: None) -> None:
    """A colleague's run is not made one's own by chmod, and a folder of the store that is not shared has an owner."""
    ask = f"ask user {STRANGER} for `chmod g+w {run.parent}`"
    for place, remedy in ((run, "choose another name="), (run.parent, ask)):
        os.chown(place, STRANGER, PROJECT)
        with pytest.raises(UserError, match=re.escape(remedy)) as caught:
            require_own(run, names.EXECUTED)
        assert "chmod -R" not in str(caught.value)
        os.chown(place, 0, 0)
    run.chmod(0o777)
    with pytest.raises(UserError, match="chmod -R go-w"):
        require_own(run, names.EXECUTED)
