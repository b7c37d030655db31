"""What is said: sentences from a small grammar of our own, helpful, useless or misleading about the emotion.

A sentence is an everyday content; a cue may come before or after it. A redundant sentence has a cue of the planted
emotion, a misleading one of another emotion, an uninformative one has none.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from shards.synthetic.dials import DEFAULTS, Dials

Role = Literal["redundant", "uninformative", "misleading"]
CUES: dict[str, tuple[str, ...]] = {
    "neutral": ("As usual", "For the record", "As far as I know", "Let me see"),
    "sadness": ("I feel so lonely", "I miss them terribly", "I could cry", "It breaks my heart"),
    "happiness": ("That’s lovely", "I am so glad", "It makes me smile", "What a nice day"),
    "excitement": ("I can’t wait", "This is amazing", "Guess what", "We finally won"),
    "joy": ("That’s lovely", "I am so glad", "This is amazing", "We finally won"),
    "anger": ("How dare you", "Get out of here", "I hate this", "I won’t stand it"),
    "frustration": ("Not again", "This never works", "I have told you twice", "What is the point"),
    "surprise": ("I did not expect that", "Really", "You are kidding", "No way"),
    "fear": ("I am scared", "Don’t go in there", "Something is wrong", "Please help me"),
    "disgust": ("That is gross", "It smells awful", "I feel sick", "Take it away"),
    "other": ("Well well", "Be that as it may", "So they say", "Who knows"),
}


def _choices(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


SUBJECTS = _choices(
    "my brother, the neighbour, our teacher, the driver, her cousin, your friend, the nurse, a stranger, the manager, "
    "his aunt, the postman, somebody"
)
VERBS = _choices("left, found, sold, opened, carried, painted, borrowed, moved, washed, bought, hid, fixed")
OBJECTS = _choices(
    "the letter, a bicycle, the blue chair, two tickets, the garden door, an old radio, the keys, a heavy box, "
    "the kitchen table, the piano, our suitcase, a map, the lamp, some bread"
)
TIMES = _choices(
    "this morning, last week, on Monday, before lunch, after the show, in the spring, yesterday, at noon, "
    "an hour ago, during the storm"
)


def role_shares(dials: Dials) -> dict[Role, float]:
    """Share of the utterances with each role."""
    rest = max(0.0, 1 - dials.text_knows - dials.text_lies)
    return {"redundant": dials.text_knows, "uninformative": rest, "misleading": dials.text_lies}


def draw_role(rng: np.random.Generator, dials: Dials = DEFAULTS) -> Role:
    """One of the roles, by its share."""
    shares = role_shares(dials)
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]


def compose(rng: np.random.Generator, emotion: str, role: Role, others: tuple[str, ...]) -> str:
    """A sentence of five or more words.

    Args:
        emotion: what the utterance shows, a key of `CUES`.
        others: the emotions that a misleading sentence may name.
    """
    content = " ".join(_pick(rng, words) for words in (SUBJECTS, VERBS, OBJECTS, TIMES))
    if role == "uninformative":
        return content[0].upper() + content[1:] + "."
    named = emotion
    if role == "misleading":
        cues = set(CUES[emotion])
        named = _pick(rng, tuple(name for name in others if not cues & set(CUES[name])))
    cue = _pick(rng, CUES[named])
    form = int(rng.integers(4))
    if form == 0:
        return f"{cue}: {content}."
    if form == 1:
        return f"{cue}, {content}!"
    return f"{content[0].upper() + content[1:]}. {cue}."


def _pick(rng: np.random.Generator, items: tuple[str, ...]) -> str:
    return items[int(rng.integers(len(items)))]
