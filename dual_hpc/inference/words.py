"""The words of a text, and which of the model's tokens are theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# What stands between spaces; of scripts that have none, each character.
_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_NO_SPACES}]|[^\s{_NO_SPACES}]+")


@dataclass(frozen=True)
class Word:
    """`places`: of its tokens, in the row of token ids that the model is given; ascending."""

    text: str
    places: tuple[int, ...]


def words_of(text: str, tokenizer: Any, max_tokens: int, most: int) -> list[Word]:
    """The words that the model is shown, in order; neighbours as one where there are more than `most`.

    A tokenizer that does not say where in the text its tokens are gives each token as a word.
    """
    fast = bool(getattr(tokenizer, "is_fast", False))
    encoded = tokenizer(
        text,
        truncation=True,
        max_length=max_tokens,
        return_special_tokens_mask=True,
        **({"return_offsets_mapping": True} if fast else {}),
    )
    plain = [place for place, special in enumerate(encoded["special_tokens_mask"]) if not special]
    if fast:
        found = _by_offsets(text, [(place, *encoded["offset_mapping"][place]) for place in plain])
    else:
        names = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
        found = [Word(str(names[place]), (place,)) for place in plain]
    size = -(-len(found) // most)
    return [_joined(found[first : first + size]) for first in range(0, len(found), size)] if size > 1 else found


def _by_offsets(text: str, tokens: Sequence[tuple[int, int, int]]) -> list[Word]:
    """Tokens are (place, first character, end), in the order of the text; words that share a token are one."""
    spans = [match.span() for match in _WORD.finditer(text)]
    words: list[tuple[int, int, list[int]]] = []  # first character, end, places
    for place, start, end in tokens:
        covered = [(a, b) for a, b in spans if start < b and a < end] or [(start, end)]
        first, last = covered[0][0], covered[-1][1]
        if words and first < words[-1][1]:
            begin, until, own = words.pop()
            words.append((min(begin, first), max(until, last), [*own, place]))
        else:
            words.append((first, last, [place]))
    return [Word(text[first:last], tuple(own)) for first, last, own in words]


def _joined(words: Sequence[Word]) -> Word:
    return Word(" ".join(word.text for word in words), tuple(place for word in words for place in word.places))
