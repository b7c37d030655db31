"""Transcripts as a speech recogniser would give them: words substituted, deleted and inserted.

A batch carries token ids. They are turned back into words, unknown ones as the unknown token, and the changed words
into ids by the same tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dual_hpc.data.tokenize import tokenize
from dual_hpc.evaluation.perturbations.perturbation import Perturbation
from dual_hpc.evaluation.perturbations.rng import rng_for

_SUBSTITUTED, _DELETED = 0.6, 0.2  # of the errors; the rest are insertions


def add_word_errors(
    batch: Mapping[str, Any], rate: float, seed: int, tokenizer: Any, max_tokens: int
) -> dict[str, Any]:
    """Each word is in error with probability `rate`; its substitute is a word of the batch."""
    texts = [
        text_of(ids[mask > 0], tokenizer)
        for ids, mask in zip(batch["input_ids"].numpy(), batch["attention_mask"].numpy(), strict=True)
    ]
    heard = sorted({word for text in texts for word in (text or "").split() if _is_word(word)})
    changed = [
        None if text is None else " ".join(with_errors(text.split(), rate, heard, rng_for(seed, "word errors", key)))
        for text, key in zip(texts, batch["keys"], strict=True)
    ]
    # A transcript of which nothing is left counts as missing.
    arrays = tokenize([text or None for text in changed], tokenizer, max_tokens)
    return {**batch, **{name: torch.from_numpy(array) for name, array in arrays.items()}}


def with_errors(words: Sequence[str], rate: float, vocabulary: Sequence[str], rng: np.random.Generator) -> list[str]:
    """`words` with one edit for each that is in error, so that the word error rate is about `rate`.

    It is less at high rates, where a deletion next to an insertion counts as one substitution. Errors
    at one rate stay at every higher one. Punctuation, which no recogniser hears, is left alone.
    """
    result: list[str] = []
    for word in words:
        luck, kind, place = rng.random(3)
        if luck >= rate or not _is_word(word):
            result.append(word)
            continue
        others = [other for other in vocabulary if other != word] or [word]
        other = others[int(place * len(others))]
        if kind < _SUBSTITUTED:
            result.append(other)
        elif kind >= _SUBSTITUTED + _DELETED:
            result += [word, other]
    return result


def text_of(ids: Any, tokenizer: Any) -> str | None:
    """The words of token ids, i64 [L] without padding; None where there are none."""
    if not len(ids):
        return None
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    return str(tokenizer.decode([int(one) for one in ids if int(one) not in special]))


def _is_word(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


WORD_ERRORS = Perturbation(
    "word errors",
    "t",
    "% of the words",
    (10.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    ("t", "avt"),
    apply=lambda batch, level, context: add_word_errors(
        batch, level / 100, context.seed, context.tokenizer, context.max_tokens
    ),
)
