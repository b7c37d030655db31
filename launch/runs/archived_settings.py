"""Which settings the code of a run's own archive knows: it refuses a configuration with others."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

from dual_hpc.config.identity import mutable_changes
from dual_hpc.config.load import AUTO
from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from dual_hpc.run.names import CODE_ARCHIVE


def refuse_unknown_settings(run: RunDir, wanted: RunConfig) -> None:
    """Refuse a change that the run's archived code would not read, before its job has waited in the queue for it.

    Not where the run gets the current code, or has no archive yet.

    Raises:
        UserError: names the setting.
    """
    known = archived_settings(run.path / CODE_ARCHIVE)
    for section, values in mutable_changes(run.config(), wanted).items():
        for key, value in values.items():
            if known and value != AUTO and key not in known:  # "auto" is written as a missing key
                raise UserError(
                    f"{section}.{key}: the code that {run.path.name} was submitted with does not know this setting; "
                    "add --new-code to continue with the current code"
                )


def archived_settings(archive: Path) -> set[str]:
    """The names of all settings, without their sections; empty where the archive does not say."""
    found: set[str] = set()
    try:
        with zipfile.ZipFile(archive) as packed:
            for name in packed.namelist():
                if name.startswith("dual_hpc/config/") and name.endswith(".py"):
                    found |= {
                        node.target.id
                        for node in ast.walk(ast.parse(packed.read(name)))
                        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
                    }
    except (OSError, zipfile.BadZipFile, SyntaxError, ValueError):
        return set()
    return found
