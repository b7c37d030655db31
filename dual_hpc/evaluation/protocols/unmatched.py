"""What a protocol's document names and no utterance has: a label, a value, a corpus; mostly misspelt."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.evaluation.protocols.columns import column, some
from dual_hpc.evaluation.protocols.document import ANY, ProtocolDocument
from dual_hpc.evaluation.protocols.document_values import as_text

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

_TRUTH = {"true", "false"}


def unmatched_names(document: ProtocolDocument, utterances: Sequence[Utterance]) -> list[str]:
    """Sentences about names that no utterance has; the utterances are not none."""
    codes, corpora = column(utterances, "corpus")
    present = {str(name) for name in corpora}
    told = [
        f"data.shards hold nothing of {name}, which {document.name} names"
        for name in document.corpora
        if name != ANY and name not in present
    ]
    for name, rules in document.corpora.items():
        own = codes >= 0
        if name == ANY:
            known = [code for code, one in enumerate(corpora) if str(one) in document.corpora]
            own &= ~np.isin(codes, known)
        elif name in present:
            own &= codes == corpora.index(name)
        else:
            continue
        where = "" if len(document.corpora) == 1 else f" of {name}"
        tables: list[tuple[str, Mapping[str, Collection[str]]]] = [
            (rules.label, rules.classes),
            *((by, {"where": values}) for by, values in rules.where.items()),
            *((by, {"exclude": values}) for by, values in rules.exclude.items()),
        ]
        for by, table in tables:
            found, values = column(utterances, by)
            told += _absent(by, table, {values[code] for code in np.unique(found[own]).tolist()}, where)
    folds = document.folds
    for table in (folds.values, folds.parts, document.validation.values):
        if folds.by is not None and table:
            told += _absent(folds.by, table, set(column(utterances, folds.by)[1]), "")
    return list(dict.fromkeys(told))


def _absent(by: str, table: Mapping[str, Collection[str]], known: Collection[str | None], where: str) -> Iterator[str]:
    for name, values in table.items():
        if absent := [value for value in values if value not in known]:
            have = sorted(value for value in known if value is not None)
            hint = ", which is what YAML makes of yes and no without quotes" if _TRUTH & set(absent) else ""
            yield f"no utterance{where} has the {by} {some(absent)} ({name}){hint}; there are {some(have) or 'none'}"


def empty_classes(document: ProtocolDocument, utterances: Sequence[Utterance], counts: Sequence[int]) -> list[str]:
    """Classes without an utterance although all corpora that name them are there.

    Args:
        counts: utterances of each class.
    """
    present = {as_text(name) for name in column(utterances, "corpus")[1]}
    by_name = dict(zip(document.classes, counts, strict=True))
    empty = [name for name, count in by_name.items() if not count]
    naming = {name: {corpus for corpus, rules in document.corpora.items() if name in rules.classes} for name in empty}
    return [name for name in empty if naming[name] - {ANY} <= present]
