"""Which utterances a synthetic MELD has: splits, dialogues, rows and their quirks, before any media is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shards.synthetic.dials import DEFAULTS, Dials
from shards.synthetic.plan import TINY_SECONDS, Planned, generator, share_out, show
from shards.synthetic.sentences import compose, draw_role

EMOTIONS = {name: name for name in ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")}
SENTIMENT = dict(neutral="neutral", surprise="positive", joy="positive")  # the others are negative
CONFUSABLE = tuple(EMOTIONS)
PUBLISHED = {
    "train": dict(neutral=4710, surprise=1205, fear=268, sadness=683, joy=1743, disgust=271, anger=1109),
    "dev": dict(neutral=470, surprise=150, fear=40, sadness=111, joy=163, disgust=22, anger=153),
    "test": dict(neutral=1256, surprise=281, fear=50, sadness=208, joy=402, disgust=68, anger=345),
}
TOTAL = 13_708
DIALOGUES = {"train": 1038, "dev": 114, "test": 280}  # of the published corpus: train has no dialogue 60
MISSING_DIALOGUE = ("train", 60)
BALANCED_SPLITS = {"train": 0.6, "dev": 0.15, "test": 0.25}
ROWS = 9  # per dialogue
SPEAKERS = ("Ada", "Bruno", "Clara", "Dario", "Edda", "Felix", "Greta", "Hugo")  # women on even places
SECONDS = (1.5, 2.9)
SHORTEST = 0.064

# Clips with a known defect: (split, dialogue, utterance) -> what is wrong with it.
DEFECTS = {
    ("train", 125, 3): "unreadable",
    ("train", 309, 0): "long",
    ("dev", 110, 7): "absent",
    ("test", 38, 4): "long",
    ("test", 220, 0): "long",
}
WRONG_CUT = 3.0  # seconds that the annotation says of a long clip
LONG_SECONDS = {("train", 309, 0): 41.0, ("test", 38, 4): 30.5, ("test", 220, 0): 23.5}  # the real ones: 41, 305, 235


@dataclass(frozen=True)
class Row:
    """One line of a split's CSV and its clip."""

    planned: Planned
    split: str
    dialogue: int
    utterance: int
    season: int
    episode: int

    @property
    def stereo(self) -> bool:
        """Season 8 is in stereo, everything else in 5.1."""
        return self.season == 8


def plan(
    utterances: int,
    seed: int,
    balance: bool,
    tiny: bool,
    quirks: bool,
    dials: Dials = DEFAULTS,
) -> list[Row]:
    """All rows in the order of the CSVs; no media is made.

    Args:
        balance: the seven classes in equal parts, else the published proportions. 13,708 unbalanced utterances have
            exactly the published counts.
        tiny: durations of the shared tiny media instead of natural ones.
        quirks: dialogues with known defects are always among those of a small corpus.
    """
    published = {split: float(sum(counts.values())) for split, counts in PUBLISHED.items()}
    sizes = share_out(utterances, BALANCED_SPLITS if balance else published)
    rows: list[Row] = []
    for split, size in sizes.items():
        rng = generator(seed, "meld", split)
        counts = share_out(size, dict.fromkeys(EMOTIONS, 1.0) if balance else PUBLISHED[split])
        labels = [label for label, count in counts.items() for _ in range(count)]
        rng.shuffle(labels)
        places = _places(split, size, quirks)
        for place, label in zip(places, labels, strict=True):
            rows.append(_row(split, *place, label, seed, tiny, quirks, dials))
    return rows


def _places(split: str, size: int, quirks: bool) -> list[tuple[int, int]]:
    """(dialogue, utterance) of every row of a split."""
    known = sorted({dialogue for s, dialogue, _ in DEFECTS if s == split}) if quirks else []
    count = min(DIALOGUES[split], max(len(known), math.ceil(size / ROWS)), size)
    free = (d for d in range(size + 1) if (split, d) != MISSING_DIALOGUE and d not in known)
    chosen = known[:count]
    chosen = sorted([*chosen, *(next(free) for _ in range(count - len(chosen)))])
    lengths = share_out(size, {str(d): 1.0 for d in chosen})
    places = []
    for dialogue in chosen:
        length = lengths[str(dialogue)]
        last = max((u for s, d, u in DEFECTS if quirks and (s, d) == (split, dialogue)), default=0)
        first = max(0, last - length + 1)
        places += [(dialogue, first + k) for k in range(length)]
    return places


def _row(
    split: str, dialogue: int, utterance: int, label: str, seed: int, tiny: bool, quirks: bool, dials: Dials
) -> Row:
    rng = generator(seed, "meld", split, dialogue, utterance)
    quirk = DEFECTS.get((split, dialogue, utterance), "") if quirks else ""
    if quirks and not quirk and utterance == 2 and dialogue % 5 == 1:
        quirk = "short"
    duration = float(rng.choice(TINY_SECONDS)) if tiny else round(float(rng.uniform(*SECONDS)), 3)
    if quirk == "short":
        duration = SHORTEST
    elif quirk == "long" and not tiny:
        duration = LONG_SECONDS[split, dialogue, utterance]
    performance = show(rng, label, EMOTIONS, duration, dials)
    role = draw_role(rng, dials)
    text = compose(rng, performance.emotion, role, CONFUSABLE)
    if rng.random() < 0.1:
        text = f"“{text}” – so I heard"  # characters that older copies of the CSVs encode twice
    speaker = SPEAKERS[(dialogue + int(rng.integers(3))) % len(SPEAKERS)]
    identity = f"{split}/dia{dialogue}_utt{utterance}"
    planned = Planned(identity, speaker, label, performance, text, role, quirk=quirk)
    return Row(planned, split, dialogue, utterance, season=(dialogue * 7) % 9 + 1, episode=dialogue % 24 + 1)
