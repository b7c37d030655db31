"""What to do about steps whose loss or gradient is not finite. All ranks know the same numbers and decide alike.

Such a step is skipped: weights and moments stay as they are, only the data goes on. After several in a row, skipping
does not help. Then the run stops with an error that names the samples; or, with `training.on_non_finite: rollback`, it
restores once the weights and the optimizer state of the latest verified checkpoint from before these steps. The
position does not go back: steps, schedule and data continue after them, so that no sample of these steps, nor of the
steps between that checkpoint and them, is read again in this epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from dual_hpc.errors import UserError

Action = Literal["continue", "roll back", "stop"]
_KEYS_SHOWN = 16  # in a message; the report has all


def next_action(in_a_row: int, limit: int, policy: Literal["stop", "rollback"], rolled_back: bool) -> Action:
    """What to do after so many consecutive non-finite steps.

    Args:
        limit: `training.non_finite_limit`.
        rolled_back: it was done before; a second time would only repeat the first.
    """
    if in_a_row < limit:
        return "continue"
    return "roll back" if policy == "rollback" and not rolled_back else "stop"


def format_keys(keys: Sequence[str]) -> str:
    """The first keys, for the end of a message; an empty string if there are none."""
    more = f" and {len(keys) - _KEYS_SHOWN} more" if len(keys) > _KEYS_SHOWN else ""
    return f"; samples: {', '.join(keys[:_KEYS_SHOWN])}{more}" if keys else ""


def non_finite_error(
    steps: Mapping[int, Sequence[str]], report: Path, action: Action, rolled_back: int | None
) -> UserError:
    """The error that ends a run whose loss stays non-finite.

    Args:
        steps: keys of the samples by step.
        report: the file that has all of them.
        action: "roll back" if that was not possible.
        rolled_back: the step that was restored before, if any.
    """
    why = ""
    if action == "roll back":
        why = f", and there is no checkpoint from before step {min(steps)} to go back to"
    elif rolled_back is not None:
        why = f", although the run went back to step {rolled_back} before"
    keys = [key for keys in steps.values() for key in keys]
    return UserError(
        f"training.non_finite_limit: loss or gradient not finite in {len(steps)} steps in a row{why}"
        f"{format_keys(keys)}; lower optim.lr, or look at these samples (all of them: {report})"
    )
