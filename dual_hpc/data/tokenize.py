"""Transcripts of a batch -> token ids. In the parent process: workers need neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dual_hpc.data.decoding.augment import drop_tokens


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that is used."""

    pad_token_id: int | None
    mask_token_id: int | None
    unk_token_id: int | None

    def __call__(self, text: list[str], **options: Any) -> Any: ...


def filler(tokenizer: Tokenizer) -> int | None:
    """The token that stands for a word that is not to be read; None of a tokenizer that has none."""
    return tokenizer.mask_token_id if tokenizer.mask_token_id is not None else tokenizer.unk_token_id


def tokenize(
    texts: Sequence[str | None],
    tokenizer: Tokenizer | None,
    max_tokens: int,
    drop: tuple[float, Sequence[Generator]] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """`input_ids` and `attention_mask`, i64 [B, L], L <= max_tokens; rows without text are masked whole.

    Args:
        drop: probability of replacing a token by the mask (or unknown) token, and a generator per row.
    """
    rows = [row for row, text in enumerate(texts) if text is not None]
    if tokenizer is None or not rows:
        empty = np.zeros((len(texts), 1), np.int64)
        return {"input_ids": empty, "attention_mask": empty.copy()}
    encoded = tokenizer(
        [texts[row] for row in rows],  # type: ignore[misc]
        truncation=True,
        max_length=max_tokens,
        padding=False,
        return_attention_mask=False,
        return_special_tokens_mask=True,
    )
    width = max(1, *(len(ids) for ids in encoded["input_ids"]))
    input_ids = np.full((len(texts), width), tokenizer.pad_token_id or 0, np.int64)
    attention_mask = np.zeros_like(input_ids)
    fill = filler(tokenizer)
    for row, ids, special in zip(rows, encoded["input_ids"], encoded["special_tokens_mask"], strict=True):
        ids = np.asarray(ids, np.int64)
        if drop is not None and fill is not None:
            probability, generators = drop
            drop_tokens(ids, ~np.asarray(special, bool), fill, probability, generators[row])
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}
