"""A YAML file that a user names: a configuration, a protocol, a profile. Whatever it is, its mistake is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dual_hpc.config.yaml_text import read_yaml
from dual_hpc.errors import UserError
from dual_hpc.files.regular_file import read_text


def read_yaml_file(path: Path, what: str, content: str) -> dict[str, Any]:
    """The mapping that a file holds; an empty file holds an empty one.

    Args:
        what: begins each message, before the path, as `data.protocol: `.
        content: what the file should hold, as `a mapping of sections`.

    Raises:
        UserError: it cannot be read, is not UTF-8 or not YAML, or holds something else.
    """
    try:
        tree = read_yaml(read_text(path, "utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"{what}{path} does not exist") from error
    except OSError as error:
        raise UserError(f"{what}{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what}{path} is not UTF-8 text") from error
    except ValueError as error:
        raise UserError(f"{what}{path} cannot be used: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"{what}{path} must be {content}")
    return tree
