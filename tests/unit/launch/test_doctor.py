"""What the examination says of a store."""

from __future__ import annotations

from pathlib import Path

from launch.doctor import space, writable


def test_a_store_that_is_not_there_is_examined_and_not_made(tmp_path: Path) -> None:
    store = tmp_path / "scratch" / "store"
    finding = writable(store)
    assert (finding.state, finding.found) == ("ok", f"{store} can be made")
    assert space(store).state in ("ok", "missing") and list(tmp_path.iterdir()) == []


def test_a_store_that_is_there_is_left_as_it_was(tmp_path: Path) -> None:
    assert (writable(tmp_path).state, writable(tmp_path).found) == ("ok", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_store_and_the_remedy_names_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.touch()
    for store in (file, file / "below"):
        finding = writable(store)
        assert finding.state == "missing" and "DUAL_STORE" in finding.remedy
