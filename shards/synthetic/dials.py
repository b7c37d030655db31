"""What a synthetic corpus knows and hides: how much text tells, how often it lies, how strong voice and face are.

A task that every model solves shows nothing. The defaults are those of the demo, whose classes voice and face tell
well. They are printed; another setting is written into the corpus, the index of its shards and every report of a model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from dual_hpc.errors import UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import read_bytes

FILE = "synthetic.json"  # in the corpus folder, where a dial is not at its default
Movement = Literal["regular", "shared"]


@dataclass(frozen=True)
class Dials:
    """What can be turned.

    Attributes:
        text_knows: share of the utterances whose words name the emotion that is shown.
        text_lies: share whose words name another one; of the rest they name none.
        voice, face: how strongly each shows the emotion: 1 as drawn, 0 not at all (level, kind and depth of movement).
        movement: `regular`, the cycles alone: of a flat emotion all moments look alike. `shared`: head and pitch also
            follow one random course together, which does not know the emotion, so that each moment of a voice has a
            moment of the face that goes with it.
    """

    text_knows: float = 0.5
    text_lies: float = 0.15
    voice: float = 1.0
    face: float = 1.0
    movement: Movement = "regular"

    def __post_init__(self) -> None:
        for name in ("text_knows", "text_lies", "voice", "face"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
                raise UserError(f"{_option(name)}: {value!r} is not a share from 0 to 1")
        if self.text_knows + self.text_lies > 1 + 1e-9:
            told = f"{_option('text_knows')}={self.text_knows} and {_option('text_lies')}={self.text_lies}"
            raise UserError(f"{told} are more than all utterances; make them 1 at most together")
        if self.movement not in get_args(Movement):
            raise UserError(f"--movement: {self.movement!r} is not one of {', '.join(get_args(Movement))}")

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())

    def write(self, corpus: Path) -> None:
        """Write them into the corpus folder, unless all are at their defaults."""
        if self != DEFAULTS:
            write_atomically(corpus / FILE, json.dumps(asdict(self), indent=1) + "\n")


DEFAULTS = Dials()


def recorded_dials(corpus: Path) -> str | None:
    """The dials of a synthetic corpus in one line; None of any other folder, and where all are at their defaults."""
    try:
        content: Any = parse_json(read_bytes(corpus / FILE))
        return str(Dials(**content))
    except (OSError, ValueError, TypeError, UserError):
        return None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
