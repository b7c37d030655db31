"""What to do about steps that were not finite. All ranks decide alike: they know the same numbers.

Such a step is skipped: weights and moments stand as before it, only the data go on. Several in a row mean that
skipping does not help. Then the run stops and leaves the keys of the samples behind; or, with `training.on_non_finite:
rollback`, it goes back once to weights and optimizer state of the newest proven checkpoint from before the row. The
position does not go back: steps, schedule and data go on behind the row, so no sample of it, nor of the steps between
that checkpoint and the row, is seen again in this epoch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dual_hpc.errors import UserError

Verdict = Literal["go on", "roll back", "stop"]
_NAMED = 16  # keys in a message; the report has all


def verdict(in_row: int, limit: int, policy: Literal["stop", "rollback"], rolled_back: bool) -> Verdict:
    """What follows after so many sick steps in a row.

    Args:
        limit: `training.non_finite_limit`.
        rolled_back: it was done before; a second time would only repeat the first.
    """
    if in_row < limit:
        return "go on"
    return "roll back" if policy == "rollback" and not rolled_back else "stop"


def named(keys: list[str]) -> str:
    """Some of the keys for a message; nothing if there are none."""
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"; samples: {', '.join(keys[:_NAMED])}{more}" if keys else ""


def too_sick(sick: dict[int, list[str]], report: Path, decided: Verdict, rolled_back: int | None) -> UserError:
    """The end of a run that stays sick.

    Args:
        sick: keys of the samples by step.
        report: the file that has them.
        decided: "roll back" if that was not possible.
        rolled_back: the step to which it was done before.
    """
    why = ""
    if decided == "roll back":
        why = f", and no checkpoint from before step {min(sick)} is there to go back to"
    elif rolled_back is not None:
        why = f", though the run went back to step {rolled_back} before"
    keys = [key for keys in sick.values() for key in keys]
    return UserError(
        f"training.non_finite_limit: loss or gradient not finite in {len(sick)} steps in a row{why}{named(keys)}; "
        f"lower optim.lr, or look at these samples (all of them: {report})"
    )
