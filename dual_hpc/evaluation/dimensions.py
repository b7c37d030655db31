"""Valence, arousal and dominance of utterances: what `target: regression` trains on, and what answers should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.batch import SoftLabels
from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.format.utterances import coded
from dual_hpc.data.sampling.permutation import Indices
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import Protocol

Values = NDArray[np.float64]


def dimension_values(utterances: Sequence[Utterance], numbers: Indices, names: Sequence[str]) -> Values:
    """As the corpus gives them, f64 [n, D]; NaN where it gives none.

    Args:
        numbers: positions in `utterances`.
    """
    columns = []
    for name in names:
        codes, values = coded(utterances, name)
        table = np.array([np.nan if value is None else float(value) for value in values], np.float64)
        columns.append(table[codes[numbers]] if len(numbers) else np.zeros(0))
    return np.stack(columns, axis=1) if columns else np.zeros((len(numbers), 0))


def dimension_targets(
    protocol: Protocol, utterances: Sequence[Utterance], numbers: Indices
) -> tuple[SoftLabels, dict[str, list[float]]]:
    """What `target: regression` trains on, and the mean and standard deviation of each dimension.

    Args:
        numbers: positions in `utterances`, ascending, each once.

    Raises:
        UserError: the utterances do not differ in a dimension, or have none.
    """
    values = dimension_values(utterances, numbers, protocol.dimensions)
    scales = {}
    for name, column in zip(protocol.dimensions, values.T, strict=True):
        known = column[np.isfinite(column)]
        if not len(known) or not known.std() > 0:
            why = f"all have {known[0]:g}" if len(known) else "no utterance has it"
            raise UserError(
                f"data.protocol: {protocol.name} trains on {name}, and of the utterances that train {why}; "
                "leave it out of the protocol's `dimensions`, or use `target: class`"
            )
        scales[name] = [float(known.mean()), float(known.std())]
    labels = protocol.class_numbers(utterances)[numbers]
    rows = np.concatenate([np.eye(len(protocol.classes))[labels], values], axis=1)
    return SoftLabels(np.asarray(numbers, np.int64), rows.astype(np.float32), values.shape[1]), scales


def dimensions_by_key(
    names: Sequence[str], utterances: Sequence[Utterance], numbers: Indices
) -> dict[str, list[float | None]]:
    """Key -> the values of these utterances, as files write them; those with at least one."""
    values = dimension_values(utterances, numbers, names)
    return {
        utterances[number].key: [None if np.isnan(value) else float(value) for value in row]
        for number, row in zip(numbers.tolist(), values, strict=True)
        if np.isfinite(row).any()
    }


def known_values(keys: Sequence[str], truth: Mapping[str, Sequence[float | None]], count: int) -> Values:
    """The values of these utterances, f64 [n, count]; NaN where not known."""
    nothing: list[float | None] = [None] * count
    rows = [[np.nan if value is None else value for value in truth.get(key, nothing)] for key in keys]
    return np.array(rows, np.float64).reshape(len(keys), count)


def concordance(truth: NDArray[np.floating[Any]], answers: NDArray[np.floating[Any]]) -> float:
    """Concordance correlation coefficient (Lin, 1989) of [N] with [N], -1..1; 0 where both are constant and differ.

    Of equal constants, and of nothing, 1 and NaN.
    """
    if not len(truth):
        return float("nan")
    return float(concordance_of_sums(moments(truth, answers).sum(axis=0)))


def moments(truth: NDArray[np.floating[Any]], answers: NDArray[np.floating[Any]]) -> Values:
    """What sums to a concordance: [N] and [N] -> f64 [N, 6], about the mean of the truth, which loses no digits."""
    x, y = truth.astype(np.float64), answers.astype(np.float64)
    x, y = x - x.mean(), y - x.mean()
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def concordance_of_sums(sums: Values) -> Values:
    """Sums of `moments`, f64 [..., 6] -> the concordance, f64 [...]."""
    count = np.maximum(sums[..., 0], 1)
    x, y, xx, yy, xy = (sums[..., n] / count for n in range(1, 6))
    above = 2 * (xy - x * y)
    below = np.maximum(xx - x * x, 0) + np.maximum(yy - y * y, 0) + (x - y) ** 2
    return np.where(below > 1e-15, above / np.where(below > 1e-15, below, 1), 1.0)
