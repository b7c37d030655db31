"""The parts of a data set by the rules of a protocol's document: pure, from columns of the metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.columns import SHOWN, column, some
from dual_hpc.evaluation.protocols.division import Indices, draw_groups, groups_by
from dual_hpc.evaluation.protocols.document import Folds, ProtocolDocument
from dual_hpc.evaluation.protocols.document_values import as_text
from dual_hpc.evaluation.protocols.fold_file import read_folds
from dual_hpc.evaluation.protocols.group_split import FIELDS, balanced_folds
from dual_hpc.evaluation.protocols.split import own_part

if TYPE_CHECKING:
    from dual_hpc.config.schema import DataConfig
    from dual_hpc.data.format.sample import Utterance

Names = Sequence[str | None]  # of the fold, or the part, of each distinct value; None: none


def fold_names(rules: Folds, utterances: Sequence[Utterance], labelled: Indices) -> tuple[int | str, ...]:
    """The values of `data.test_fold`, in order; () where there is one division, or where nothing is known of folds yet.

    Args:
        labelled: positions of the utterances that count.
    """
    if rules.own or rules.parts:
        return ()
    if rules.k is not None:
        return tuple(range(1, rules.k + 1))
    if rules.file is not None:
        names = set(read_folds(rules).folds.values())
    elif rules.values:
        names = set(rules.values)
    elif not len(utterances):
        return ()  # not known yet, as where shards are still looked for
    else:
        codes, values = column(utterances, rules.by or "")
        names = {str(values[code]) for code in np.unique(codes[labelled]).tolist() if values[code] is not None}
    found: list[int | str] = [int(name) if _is_number(name) else name for name in names]
    return tuple(sorted(found, key=_in_order))


def divided(
    document: ProtocolDocument, utterances: Sequence[Utterance], labelled: Indices, classes: Indices, data: DataConfig
) -> dict[str, Indices]:
    """Train, validation and test: positions in `utterances`, ascending, disjoint.

    Args:
        labelled: positions of the utterances that count, ascending; `classes` are their class numbers.
        data: says which fold tests, and how a validation part is drawn where the document does not.

    Raises:
        UserError: an utterance belongs to no fold, or a part is empty that must not be.
    """
    rules = document.folds
    codes, names = _placed(rules, utterances, labelled, classes)
    counted = _counted(document, utterances, labelled, codes, names)
    fold = as_text(data.test_fold)
    wanted = "test" if _has_parts(rules) else fold
    names = [None if name is None else as_text(name) for name in names]
    tests = np.array([name == wanted for name in names], bool)[codes]
    if not tests.any() and (wanted != "test" or rules.parts.get("test")):
        what = "the part test" if wanted == "test" else f"the fold {fold}"
        values = [] if rules.by is None else [one for one in column(utterances, rules.by)[1] if one is not None]
        there = f"; as {rules.by} there are {some(values)}" if values else ""
        raise UserError(
            f"data.protocol: {document.name}: no utterance that counts is in {what}{there}: data.shards may hold a "
            "part of the corpus, or spell values otherwise"
        )
    validates = _none(labelled)
    if _has_parts(rules):
        validates = np.array([name == "validation" for name in names], bool)[codes]
    elif document.validation.fold == "next":
        order = [as_text(name) for name in fold_names(rules, utterances, labelled)]
        following = order[(order.index(wanted) + 1) % len(order)]
        validates = np.array([name == following for name in names], bool)[codes]
    validates |= _ruled(document, utterances, labelled, tests, as_text(data.test_fold)) & counted
    if not validates.any() and (document.validation.same or document.validation.values):
        rule = f"same: {document.validation.same}" if document.validation.same else "values"
        raise UserError(
            f"data.protocol: {document.name}: validation: {rule}: no utterance outside of the test part (fold "
            f"{data.test_fold}) is one of those; write another rule, as {{by: speaker}}"
        )
    if (both := validates & tests).any():
        keys = [utterances[number].key for number in labelled[both][:SHOWN].tolist()]
        raise UserError(
            f"data.protocol: {document.name}: {int(both.sum())} utterances would choose the weights and test: "
            f"{some(keys, int(both.sum()))}; draw what validates from what trains"
        )
    pool = counted & ~tests & ~validates
    if not validates.any() and pool.any():
        validates = _drawn(document, utterances, labelled, classes, pool, data)
        pool &= ~validates
    if not pool.any():
        raise UserError(f"data.protocol: {document.name}: {_all_taken(document, tests, validates)}")
    return {"train": labelled[pool], "validation": labelled[validates], "test": labelled[tests]}


def repeated_by_weight(utterances: Sequence[Utterance], numbers: Indices, weights: Mapping[str, float]) -> Indices:
    """Numbers that train, each as often as its corpus's weight says beside the lowest of the corpora that train,
    ascending: a weight 2.5 times as high reads every utterance twice and every other one a third time.
    """
    codes, corpora = column(utterances, "corpus")
    weight_of = np.array([weights.get(str(name), weights.get("*", 1.0)) for name in corpora])
    wanted = weight_of[codes[numbers]]
    wanted = wanted / wanted.min(initial=np.inf)
    times = np.zeros(len(numbers), np.int64)
    for code in np.unique(codes[numbers]).tolist():
        own = np.flatnonzero(codes[numbers] == code)
        ends = np.floor(np.arange(1, len(own) + 1) * wanted[own] + 1e-9).astype(np.int64)
        times[own] = np.diff(ends, prepend=0)
    return np.repeat(numbers, times)


def _placed(
    rules: Folds, utterances: Sequence[Utterance], labelled: Indices, classes: Indices
) -> tuple[Indices, list[str | None]]:
    """A code for each labelled utterance [n], and by code its fold (or part); None: in none."""
    if rules.file is not None:
        told = read_folds(rules)
        codes, values = column(utterances, told.by)
        table = told.folds or told.parts
        if rules.unknown is None and (unknown := sorted(set(table) - set(values))):
            raise UserError(
                f"data.protocol: {rules.file} names {len(unknown)} of {told.by} that data.shards do not hold: "
                f"{some(unknown)}; correct them, or write `unknown: ignore` below folds"
            )
        return codes[labelled], [None if value is None else table.get(value) for value in values]
    if rules.k is not None:
        group, names = group_of(utterances, labelled, rules.by or "")
        if len(names) < rules.k:
            few = f"{len(names)} value{'s' * (len(names) != 1)} of {rules.by}"
            raise UserError(f"data.protocol: folds.k: {rules.k} folds of {few}: use fewer folds, or another column")
        return group, [str(fold) for fold in balanced_folds(group, names, classes, rules.k, rules.seed)]
    codes, values = column(utterances, "split" if rules.own else rules.by or "")
    if all(values[code] is None for code in np.unique(codes[labelled]).tolist()):
        what = (
            "own: no utterance that counts has a split"
            if rules.own
            else f"by: no utterance that counts has a {rules.by}"
        )
        raise UserError(f"data.protocol: folds.{what}; divide by a column that they have, as speaker or session")
    if rules.own:
        return codes[labelled], [None if value is None else own_part(value) for value in values]
    table = {value: name for name, some in (rules.values or rules.parts).items() for value in some}
    if not table:
        return codes[labelled], list(values)
    return codes[labelled], [None if value is None else table.get(value) for value in values]


def group_of(utterances: Sequence[Utterance], labelled: Indices, by: str) -> tuple[Indices, list[str]]:
    """Which labelled utterances belong together [n], and the identity of each group."""
    if by in FIELDS:
        return groups_by(utterances, labelled, FIELDS[by])
    codes, values = column(utterances, by)
    met, group = np.unique(codes[labelled], return_inverse=True)
    return group.astype(np.int64), [str(values[code]) for code in met.tolist()]


def _counted(
    document: ProtocolDocument, utterances: Sequence[Utterance], labelled: Indices, codes: Indices, names: Names
) -> NDArray[np.bool_]:
    """Which labelled utterances take part: those that no fold names train, are left out, or are refused."""
    named = np.array([name is not None for name in names], bool)[codes]
    if named.all() or document.folds.others == "train":
        return np.ones(len(labelled), bool)
    if document.folds.others == "leave_out":
        return named
    keys = [utterances[number].key for number in labelled[~named][:SHOWN].tolist()]
    count = int((~named).sum())
    raise UserError(
        f"data.protocol: {document.name}: {count} utterances are in no fold: {some(keys, count)}; add them, or "
        "write `others: train` or `others: leave_out` below folds"
    )


def _has_parts(rules: Folds) -> bool:
    if rules.file is not None:
        return not read_folds(rules).folds
    return rules.own or bool(rules.parts)


def _ruled(
    document: ProtocolDocument, utterances: Sequence[Utterance], labelled: Indices, tests: NDArray[np.bool_], fold: str
) -> NDArray[np.bool_]:
    """Which validate by `validation.same` or `validation.values`."""
    rule = document.validation
    if rule.same is not None:
        group, _ = group_of(utterances, labelled, rule.same)
        return np.isin(group, np.unique(group[tests])) & ~tests
    if rule.values:
        codes, values = column(utterances, document.folds.by or "")
        chosen = {as_text(name): some for name, some in rule.values.items()}.get(fold, [])
        return np.array([value in chosen for value in values], bool)[codes[labelled]]
    return _none(labelled)


def _all_taken(document: ProtocolDocument, tests: NDArray[np.bool_], validates: NDArray[np.bool_]) -> str:
    """Why nothing trains."""
    by = f"{document.folds.by} has no other value; " if document.folds.by and not document.folds.parts else ""
    if not validates.any():
        return f"all {int(tests.sum())} utterances test, and none is left to train; {by}divide by another column"
    return (
        f"{int(tests.sum())} utterances test and {int(validates.sum())} choose the weights, and none is left to train; "
        "use more folds, or another rule of validation"
    )


def _drawn(
    document: ProtocolDocument,
    utterances: Sequence[Utterance],
    labelled: Indices,
    classes: Indices,
    pool: NDArray[np.bool_],
    data: DataConfig,
) -> NDArray[np.bool_]:
    """Whole groups of the pool, drawn to validate."""
    rule = document.validation
    by, fraction = rule.by or data.validation, rule.fraction or data.validation_fraction
    inside = np.flatnonzero(pool)
    group, names = group_of(utterances, labelled[inside], by)
    if len(names) < 2:
        raise UserError(
            f"data.protocol: {document.name}: the training part has a single {by}, so no validation part can be drawn; "
            "write another `by` below validation"
        )
    chosen = _none(labelled)
    chosen[inside] = draw_groups(group, names, classes[inside], fraction)
    return chosen


def _in_order(name: int | str) -> tuple[bool, int, str]:
    """Numbers first, also those that are written with zeros in front: 01 to 24 as 1 to 24."""
    text = str(name)
    number = text.isascii() and text.isdecimal()
    return not number, int(text) if number else 0, text


def _is_number(name: str) -> bool:
    """Whether `data.test_fold` takes it as a number: 1 or more, written as such."""
    return name.isascii() and name.isdecimal() and name == str(int(name)) and name != "0"


def _none(labelled: Indices) -> NDArray[np.bool_]:
    return np.zeros(len(labelled), bool)
