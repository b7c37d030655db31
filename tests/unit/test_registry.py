"""Registries: what is registered is found, and what is not is refused with the nearest name."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from dual_hpc.errors import UserError
from dual_hpc.registry import Registry, modules_in


def test_things_are_found_by_name_in_the_order_of_registration() -> None:
    registry: Registry[int] = Registry("metric", "training.select_by")
    assert registry.register("ua", 1) == 1
    registry.register("wa", 2)
    assert registry.names() == list(registry) == ["ua", "wa"]
    assert registry.get("wa") == 2 and "wa" in registry and "f1" not in registry


def test_a_name_that_is_not_there_is_refused_with_the_nearest() -> None:
    registry: Registry[int] = Registry("encoder", "model.audio.kind")
    registry.register("wav2vec2", 1)
    with pytest.raises(UserError, match=r"^model\.audio\.kind: there is no encoder 'wav2vec'; did you mean 'wav2vec2'"):
        registry.get("wav2vec")
    with pytest.raises(UserError, match="available: wav2vec2"):
        registry.get("zzz")


def test_two_things_cannot_share_a_name_but_registering_one_twice_is_harmless() -> None:
    registry: Registry[list[int]] = Registry("corpus", "corpus")
    thing = [1]
    registry.register("mine", thing)
    registry.register("mine", thing)
    with pytest.raises(UserError, match="corpus 'mine' is registered twice"):
        registry.register("mine", [1])


def test_own_names_are_known_before_their_modules_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "things"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "one.py").write_text("import holder\nholder.REGISTRY.register('one', object())\n")
    (folder / "two.py").write_text("raise RuntimeError('not asked for')\n")
    registry: Registry[object] = Registry("thing", "things", modules_in(folder, "things"))
    holder = ModuleType("holder")
    monkeypatch.setitem(holder.__dict__, "REGISTRY", registry)
    monkeypatch.setitem(sys.modules, "holder", holder)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.names() == ["one", "two"] and "two" in registry
    registry.check("two")
    with pytest.raises(UserError, match="did you mean 'two'"):
        registry.check("twoo")
    with pytest.raises(UserError, match="thing 'one' is registered twice"):
        registry.register("one", object())  # by someone else, before the module
    assert registry.get("one") is registry.get("one")
    monkeypatch.delitem(sys.modules, "things.one")
