"""Named things of one kind that a configuration or a command chooses from; plugins add theirs (`dual_hpc.plugins`)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Generic, TypeVar

from dual_hpc.errors import UserError

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from names to things of one kind, in the order of registration.

    Args:
        kind: what the things are, for messages: "encoder", "metric" ...
        setting: the setting or argument that names one, for messages: "model.audio.kind", "--corpus" ...
    """

    def __init__(self, kind: str, setting: str) -> None:
        self.kind, self.setting = kind, setting
        self._things: dict[str, T] = {}

    def register(self, name: str, thing: T) -> T:
        """Add `thing` under `name`; returns it, so that it can be the last call of a decorator.

        Raises:
            UserError: another thing has this name already.
        """
        if self._things.setdefault(name, thing) is not thing:
            raise UserError(f"{self.kind} {name!r} is registered twice; give one of them another name")
        return thing

    def get(self, name: str) -> T:
        """The thing of this name.

        Raises:
            UserError: there is none; names the nearest.
        """
        if name in self._things:
            return self._things[name]
        near = difflib.get_close_matches(name, self._things, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"available: {', '.join(self._things) or 'none'}"
        raise UserError(
            f"{self.setting}: there is no {self.kind} {name!r}; {hint} "
            "(one of your own is loaded by `plugins: [your.module]`)"
        )

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._things)

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)
