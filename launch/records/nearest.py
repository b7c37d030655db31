"""The name that was probably meant, where a store has none of that name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


def did_you_mean(name: str, folders: Iterable[Path]) -> str:
    """ "; did you mean trial-2?", or "" where nothing in these folders is called like it.

    Args:
        folders: of runs, sweeps or jobs, each in a folder that bears its name; one that is not there is left out.
    """
    known: list[str] = []
    for folder in folders:
        try:
            known += sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        except OSError:
            continue
    same = [one for one in known if one.lower() == name.lower()]
    near = same or difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    # The beginning or the end of one name only, as `trial` for `trial-2` or `trial-2` for `cv.trial-2`
    near = near or [one for one in known if name and name in one][:1]
    return f"; did you mean {near[0]}?" if near else ""
