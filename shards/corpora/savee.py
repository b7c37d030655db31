"""SAVEE (Haq and Jackson, 2009): four men say 120 sentences each; `DC/a01.wav` or `DC_a01.wav`, 480 utterances."""

from __future__ import annotations

import re

from shards.corpora.named import Named, NamedCorpus

EMOTIONS = {
    **{"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness", "su": "surprise"}
}
SPEAKERS = ("DC", "JE", "JK", "KL")
PUBLISHED = {**dict.fromkeys(EMOTIONS.values(), 60), "neutral": 120}
_NAME = re.compile(rf"(?:^|/)({'|'.join(SPEAKERS)})[/_](a|d|f|h|n|sa|su)([0-9]{{1,2}})\.[^./]+$", re.IGNORECASE)


def meaning(path: str) -> Named | None:
    """What a file's name, or its folder's and its own, say."""
    name = _NAME.search(path)
    if name is None or not 1 <= int(name[3]) <= (30 if name[2].lower() == "n" else 15):
        return None
    speaker, letters = name[1].upper(), name[2].lower()
    key = f"{speaker}_{letters}{int(name[3]):02d}"
    return Named(key, speaker, EMOTIONS[letters], letters, None, {"gender": "male"})


SAVEE = NamedCorpus(
    "savee",
    "SAVEE",
    "DC/a01.wav",
    meaning,
    PUBLISHED,
    ("savee7",),
    ("SAVEE", "savee"),
    ("AudioData", "AudioVisualClip"),
)
