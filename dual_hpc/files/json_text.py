"""JSON of other people as plain data: whatever is wrong with it is a `ValueError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def parse_json(text: str | bytes, of_pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Plain data.

    Args:
        of_pairs: makes each object of its names and values, in order; it raises nothing. None: a dict.

    Raises:
        ValueError: not JSON, nested too deeply, or with a number of thousands of digits.
    """
    try:
        return json.loads(text, object_pairs_hook=of_pairs)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:  # Python refuses such numbers, and explains how to allow them
        raise ValueError("it holds a number with too many digits") from error
