"""Protocols by name: those in Python, those of the YAML files in `builtin`, and those of plugins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError
from dual_hpc.registry import Registry

if TYPE_CHECKING:
    from dual_hpc.evaluation.protocols.protocol import Protocol

BUILTIN = Path(__file__).parent / "builtin"


class ProtocolRegistry(Registry["Protocol"]):
    """As `Registry`; a file is read when its protocol is asked for."""

    def __init__(self) -> None:
        super().__init__("protocol", "data.protocol")
        self._files = {path.stem: path for path in sorted(BUILTIN.glob("*.yaml"))}

    def register(self, name: str, thing: Protocol) -> Protocol:
        """As `Registry`."""
        if name in self._files:
            raise UserError(f"{self.kind} {name!r} is registered twice; give one of them another name")
        return super().register(name, thing)

    def get(self, name: str) -> Protocol:
        """As `Registry`."""
        if name not in self._files:
            return super().get(name)
        if name not in self._things:
            self._things[name] = _read(self._files[name])
        return self._things[name]

    def names(self) -> list[str]:
        """As `Registry`."""
        return list(dict.fromkeys([*super().names(), *self._files]))

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._files


def _read(path: Path) -> Protocol:
    from dual_hpc.config.yaml_file import read_yaml_file
    from dual_hpc.evaluation.protocols.document import document_of
    from dual_hpc.evaluation.protocols.document_protocol import DocumentProtocol

    return DocumentProtocol.of(document_of(read_yaml_file(path, "", "a mapping"), path.name))
