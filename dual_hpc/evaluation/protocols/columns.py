"""Columns of the metadata by the names that protocols use: fields of `Utterance`, and what its `attributes` say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.format.utterances import coded, keys_of
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.document_values import as_text

if TYPE_CHECKING:
    from dual_hpc.evaluation.protocols.division import Indices

_UNSUITED = ("sources", "options", "attributes", "votes", "duration")  # no values that utterances share
SHOWN = 8  # names in a message


def column(utterances: Sequence[Utterance], name: str) -> tuple[Indices, list[str | None]]:
    """The code of each utterance, i64 [n], and the distinct values by code, as text; None where it has none.

    Raises:
        UserError: no utterance has such a column.
    """
    if name == "key":
        place_of: dict[str | None, int] = {}
        codes = np.array([place_of.setdefault(as_text(key), len(place_of)) for key in keys_of(utterances)], np.int64)
        return codes, list(place_of)
    if name in Utterance.model_fields and name not in _UNSUITED:
        codes, values = coded(utterances, name)
    else:
        codes, told = coded(utterances, "attributes")
        values = [(one or {}).get(name) for one in told]
        if all(value is None for value in values):
            known = sorted({key for one in told for key in one or {}})
            raise UserError(
                f"data.protocol: these shards have no column {name!r}; besides speaker, session and the other fields "
                f"of a sample they have {', '.join(known) or 'none'}"
            )
    texts = [None if value is None else as_text(value) for value in values]
    code_of: dict[str | None, int] = {}
    place = np.array([code_of.setdefault(text, len(code_of)) for text in texts], np.int64)
    return place[codes] if len(texts) else np.zeros(0, np.int64), list(code_of)


def among(utterances: Sequence[Utterance], table: Mapping[str, Collection[str]]) -> NDArray[np.bool_]:
    """Which utterances have, in every column of the table, one of its values: bool [n]."""
    found = np.ones(len(utterances), bool)
    for name, wanted in table.items():
        codes, values = column(utterances, name)
        found &= np.array([value in wanted for value in values], bool)[codes]
    return found


def some(names: Collection[Any], count: int | None = None) -> str:
    """The first few of them, for a message.

    Args:
        count: how many there are, if these are not all.
    """
    first = sorted(map(str, names))
    more = (len(first) if count is None else count) - SHOWN
    return ", ".join(first[:SHOWN]) + (f" and {more} more" if more > 0 else "")
