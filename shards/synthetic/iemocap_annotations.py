"""The text files of IEMOCAP: evaluations with every rater's lines, and transcriptions with their irregularities."""

from __future__ import annotations

import numpy as np

from shards.synthetic.iemocap_plan import Dialogue, Turn, dialogue_names
from shards.synthetic.plan import NO_MAJORITY, generator

NAMES = {
    "neu": "Neutral",
    "sad": "Sadness",
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "fru": "Frustration",
    "sur": "Surprise",
    "fea": "Fear",
    "dis": "Disgust",
    "oth": "Other",
}
# Typical valence, activation, dominance.
VAD = {
    "neu": (3, 2, 3),
    "sad": (2, 2, 2),
    "ang": (2, 4, 4),
    "hap": (4, 3, 3),
    "exc": (4, 4, 4),
    "fru": (2, 3, 3),
    "sur": (3, 4, 3),
    "fea": (2, 4, 2),
    "dis": (2, 3, 3),
    "oth": (3, 3, 3),
    "xxx": (3, 3, 3),
}
XX_SESSIONS = (3, 5)
XX_DIALOGUES = 24  # of each: 48 in a corpus that has all of them


def evaluation(dialogue: Dialogue, seed: int) -> str:
    """`EmoEvaluation/<dialogue>.txt`: the header, then one block per utterance in order of time."""
    rng = generator(seed, dialogue.name, "raters")
    blocks = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
    blocks += [_block(rng, turn) for turn in sorted(dialogue.turns, key=lambda t: t.start)]
    return "\n".join(blocks)


def rater_files(dialogue: Dialogue) -> dict[str, str]:
    """Single raters' files in sub-folders, which look like labels but are not the majority's."""
    turns = sorted(dialogue.turns, key=lambda t: t.start)
    lines = "".join(f"{t.planned.id} :Neutral state; ()\n" for t in turns)
    numbers = "".join(f"{t.planned.id} :act   3; :val   3; :dom   3; ()\n" for t in turns)
    actor = dialogue.name[5].lower()
    return {
        f"Categorical/{dialogue.name}_e2_cat.txt": lines,
        f"Attribute/{dialogue.name}_e2_atr.txt": numbers,
        f"Self-evaluation/{dialogue.name}_{actor}_cat.txt": lines,
    }


def transcription(dialogue: Dialogue, quirks: bool) -> str:
    """`transcriptions/<dialogue>.txt`, with XX turns and malformed lines if `quirks`."""
    lines = [
        f"{t.planned.id} [{t.start:08.4f}-{t.end:08.4f}]: {_ascii(t.planned.text)}"
        for t in sorted(dialogue.turns, key=lambda t: t.start)
    ]
    if quirks:
        names = dialogue_names(dialogue.session)
        if dialogue.session in XX_SESSIONS and dialogue.name in names[:XX_DIALOGUES]:
            lines.insert(1, f"{dialogue.name}_MXX0 [{0.1:08.4f}-{0.3:08.4f}]: Hm.")
        if dialogue.name[-1] == "1":
            lines.insert(len(lines) // 2, "M: Yes.")
            lines.append(f"{dialogue.name}_F9 somebody coughs")
    return "\n".join(lines) + "\n"


def _block(rng: np.random.Generator, turn: Turn) -> str:
    label = turn.planned.label
    votes = _votes(rng, label)
    ratings = np.clip(np.array(VAD[label]) + rng.integers(-1, 2, (3, 3)), 1, 5)
    mean = ", ".join(f"{value:.4f}" for value in ratings[:2].mean(axis=0))
    lines = [f"[{turn.start:.4f} - {turn.end:.4f}]\t{turn.planned.id}\t{label}\t[{mean}]"]
    raters = ["E2", "E3", "E4", f"{turn.actor}{turn.planned.speaker[4]}"]
    lines += [f"C-{rater}:\t{vote}\t()" for rater, vote in zip(raters, votes, strict=True)]
    for rater, (v, a, d) in zip(["E2", "E3", raters[-1]], ratings, strict=True):
        lines.append(f"A-{rater}:\tval {v}; act {a}; dom  {d};\t()")
    return "\n".join(lines) + "\n"


def _votes(rng: np.random.Generator, label: str) -> list[str]:
    """Four raters' answers whose majority is `label`; one of them may name two emotions."""
    others = [name for key, name in NAMES.items() if key != label]
    stray = [others[k] for k in rng.permutation(len(others))[:4]]
    if label == NO_MAJORITY:
        return [f"{stray[0]};", f"{stray[1]};", f"{stray[2]}; {stray[3]};", f"{stray[3]};"]
    own = NAMES[label]
    third = f"{own}; {stray[0]};" if rng.random() < 0.2 else f"{stray[0]};" if rng.random() < 0.3 else f"{own};"
    return [f"{own};", f"{own};", third, f"{stray[1]};" if rng.random() < 0.4 else f"{own};"]


def _ascii(text: str) -> str:
    return text.replace("’", "'")
