"""Named things of one kind that a configuration or a command chooses from; plugins add theirs (`dual_hpc.plugins`)."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from dual_hpc.errors import UserError

T = TypeVar("T")
_plugin: str | None = None  # the one that is being imported


class Registry(Generic[T]):
    """A mapping from names to things of one kind, in the order of registration.

    Args:
        kind: what the things are, for messages: "encoder", "metric" ...
        setting: the setting or argument that names one, for messages: "model.audio.kind", "--corpus" ...
        modules: names of the project's own things and the modules that register them, each imported when its thing is
            asked for: names can be checked, on a login node, without loading torch.
    """

    def __init__(self, kind: str, setting: str, modules: Mapping[str, str] | None = None) -> None:
        self.kind, self.setting = kind, setting
        self._modules = dict(modules or {})
        self._things: dict[str, T] = {}
        self._plugins: dict[str, str] = {}

    def register(self, name: str, thing: T) -> T:
        """Add `thing` under `name`; returns it, so that it can be the last call of a decorator.

        Raises:
            UserError: another thing has this name already.
        """
        own = name in self._modules
        # The module of one of the project's own has begun to run when it registers it: else it is somebody else's.
        if self._things.get(name, thing) is not thing or (own and self._modules[name] not in sys.modules):
            raise UserError(f"{self.kind} {name!r} is registered twice; give one of them another name")
        self._things[name] = thing
        if _plugin is not None and not own:
            self._plugins[name] = _plugin
        return thing

    def decorator(self, name: str) -> Callable[[T], T]:
        """`@REGISTRY.decorator("name")` above a function or class registers it."""
        return lambda thing: self.register(name, thing)

    def check(self, name: str) -> None:
        """Refuse a name that nothing is registered under; loads nothing.

        Raises:
            UserError: names the nearest.
        """
        if name in self:
            return
        names = self.names()
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"available: {', '.join(names) or 'none'}"
        raise UserError(
            f"{self.setting}: there is no {self.kind} {name!r}; {hint} "
            "(one of your own: plugins=[your.module], or --plugin your.module)"
        )

    def get(self, name: str) -> T:
        """The thing of this name.

        Raises:
            UserError: there is none; names the nearest.
        """
        self.check(name)
        if name not in self._things:
            importlib.import_module(self._modules[name])
        return self._things[name]

    def names(self) -> list[str]:
        """All names: the project's own, then those of plugins in the order of registration."""
        return list(dict.fromkeys([*self._modules, *self._things]))

    def plugin_of(self, name: str) -> str | None:
        """The plugin that registered this name; None for the project's own."""
        return self._plugins.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._things or name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())


def modules_in(folder: Path, package: str) -> dict[str, str]:
    """For `Registry`'s `modules`: the files of a folder, each of which registers one thing under the file's name.

    Args:
        package: the folder's dotted name.
    """
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    return {name: f"{package}.{name}" for name in names}


@contextmanager
def during_plugin(name: str) -> Iterator[None]:
    """What is registered meanwhile is this plugin's."""
    global _plugin
    before, _plugin = _plugin, name
    try:
        yield
    finally:
        _plugin = before
