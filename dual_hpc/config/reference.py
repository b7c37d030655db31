"""Every setting with its default: for the terminal, and as `docs/settings.md`.

`python -m dual_hpc.config.reference > docs/settings.md` writes the page again.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dual_hpc.config.schema import RunConfig

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True)
class Setting:
    """One line of the reference.

    Attributes:
        key: as written in an override, `section.key`.
        default: as written in YAML.
        meaning: choices or bounds, and the description; "" where the name is enough.
    """

    key: str
    default: str
    meaning: str


def settings(section: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[Setting]:
    """All of them, in the schema's order, sections after single settings."""
    inner = []
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner.append((kind, f"{prefix}{name}."))
        else:
            yield Setting(prefix + name, _text(field.get_default(call_default_factory=True)), _meaning(field))
    for kind, longer in inner:
        yield from settings(kind, longer)


def listing() -> str:
    """For the terminal: `key=default`, and what it means."""
    found = list(settings())
    width = max(len(f"{one.key}={one.default}") for one in found)
    return "".join(f"{f'{one.key}={one.default}':{width}}  {one.meaning}".rstrip() + "\n" for one in found)


def page() -> str:
    """As Markdown: a table per section, below the section's docstring."""
    rows = list(settings())
    lines = [
        "# Settings",
        "",
        "Each is an override `key=value` of a preset or of your YAML file, and a line of the run's `config.yaml`. The",
        "defaults are those of an empty file; `dual_hpc/config/presets` holds what a preset changes. A file may name",
        "the preset that it lies on, `preset: demo`, as `--preset demo --config mine.yaml` does; the command line",
        "comes last. `dual-hpc config show NAME` prints what they come to, and `config diff` what two differ in.",
    ]
    for title, section in _sections(RunConfig):
        own = [one for one in rows if one.key.rpartition(".")[0] == title]
        if own:
            lines += ["", f"## {title or 'The run'}", "", *inspect.cleandoc(section.__doc__ or "").splitlines(), ""]
            lines += ["| key | default | meaning |", "|---|---|---|"]
            lines += [f"| `{one.key}` | `{one.default}` | {one.meaning.replace('|', chr(92) + '|')} |" for one in own]
    return "\n".join(lines) + "\n"


def _sections(section: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, section
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _sections(field.annotation, f"{path}.{name}".lstrip("."))


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _meaning(field: FieldInfo) -> str:
    choices = ", ".join(map(str, _choices(field.annotation)))
    bounds = [f"{sign} {getattr(rule, name):,}" for rule in field.metadata for name, sign in _bounds(rule)]
    description = field.description or ""
    if choices and all(choice in description for choice in choices.split(", ")):
        choices = ""
    return "; ".join(part for part in (choices, " and ".join(bounds), description) if part)


def _bounds(rule: object) -> Iterator[tuple[str, str]]:
    return ((name, sign) for name, sign in _BOUNDS.items() if getattr(rule, name, None) is not None)


def _choices(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for option in get_args(kind) for choice in _choices(option)]


if __name__ == "__main__":
    print(page(), end="")
