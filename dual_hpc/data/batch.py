"""A micro-batch as the model takes it: tensors, tokens, labels and keys."""

from __future__ import annotations

from typing import Any

import torch

from dual_hpc.data.collate import MicroBatch
from dual_hpc.data.decoding.augment import generator
from dual_hpc.data.decoding.decoder import NO_LABEL
from dual_hpc.data.tokenize import Tokenizer, tokenize

Batch = dict[str, Any]


def to_batch(
    micro_batch: MicroBatch,
    tokenizer: Tokenizer | None,
    max_tokens: int,
    token_drop_prob: float = 0.0,
    seed: int = 0,
) -> Batch:
    """The arrays of `collate`, and with them

    input_ids, attention_mask i64 [B,L]; labels i64 [B], -100 for none and for blank rows; keys list[str], empty for
    padding rows; valid bool [B], False for blank rows.
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
    return {**tensors, "keys": [row.ref.key if row.ref else "" for row in micro_batch.rows]}
