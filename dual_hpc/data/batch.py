"""A micro-batch as the model takes it: tensors, tokens, labels and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.decoding.augment import generator
from dual_hpc.data.decoding.decoder import NO_LABEL
from dual_hpc.data.tokenize import Tokenizer, tokenize

Batch = dict[str, Any]
SOFT_LABELS = "soft_labels"


@dataclass(frozen=True)
class SoftLabels:
    """Distributions over the classes, and values of dimensions, by sample.

    Attributes:
        numbers: of samples in the set, ascending, each once, i64 [n].
        shares: f32 [n, C]; a row sums to 1, or to 0 where nothing is known.
        values: how many further columns are no shares but values, NaN where not known.
    """

    numbers: NDArray[np.int64]
    shares: NDArray[np.float32]
    values: int = 0

    def of(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows of these samples, f32 [B, C + values]; zeros, then NaN, for those that are not among them."""
        place = np.searchsorted(self.numbers, numbers).clip(max=max(0, len(self.numbers) - 1))
        known = self.numbers[place] == numbers
        nothing = np.zeros(self.shares.shape[1], np.float32)
        nothing[self.shares.shape[1] - self.values :] = np.nan
        return np.where(known[:, None], self.shares[place], nothing)


def to_batch(
    micro_batch: MicroBatch,
    tokenizer: Tokenizer | None,
    max_tokens: int,
    token_drop_prob: float = 0.0,
    seed: int = 0,
    soft_labels: SoftLabels | None = None,
) -> Batch:
    """The arrays of `collate`, and with them

    input_ids, attention_mask i64 [B,L]; labels i64 [B], -100 for none and for blank rows; keys list[str], empty for
    padding rows; valid bool [B], False for blank rows; where they are given, soft_labels f32 [B,C], 0 for blank rows.
    """
    drop = None
    if token_drop_prob:
        numbers = [row.ref.number if row.ref else 0 for row in micro_batch.rows]
        rngs = [generator(seed, row.epoch, n, "text") for row, n in zip(micro_batch.rows, numbers, strict=True)]
        drop = (token_drop_prob, rngs)
    arrays = {**micro_batch.arrays, **tokenize(micro_batch.texts, tokenizer, max_tokens, drop)}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    rows = micro_batch.rows
    blank = [row.ref is None or i in micro_batch.failures for i, row in enumerate(rows)]
    tensors["labels"] = torch.tensor([NO_LABEL if b else row.label for b, row in zip(blank, rows, strict=True)])
    tensors["valid"] = ~torch.tensor(blank)
    if soft_labels is not None:
        asked = [-1 if b or row.ref is None else row.ref.number for b, row in zip(blank, rows, strict=True)]
        tensors[SOFT_LABELS] = torch.from_numpy(soft_labels.of(np.array(asked, np.int64)))
    return {**tensors, "keys": [row.ref.key if row.ref else "" for row in micro_batch.rows]}
