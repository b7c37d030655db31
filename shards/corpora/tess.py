"""TESS (Pichora-Fuller and Dupuis, 2020): two women say "Say the word ..."; `OAF_back_angry.wav`, 2,800 utterances.

One file of the release is called `OA_bite_neutral.wav`.
"""

from __future__ import annotations

from shards.corpora.named import Named, NamedCorpus, stem_of, whole_name

EMOTIONS = {
    **{"angry": "angry", "disgust": "disgust", "fear": "fear", "happy": "happy", "neutral": "neutral"},
    **{"ps": "surprised", "sad": "sad"},
}
PUBLISHED = dict.fromkeys(EMOTIONS.values(), 400)
_AGES = {"OAF": "64", "YAF": "26"}
_NAME = whole_name(rf"(OAF|YAF|OA)_([a-z]+)_({'|'.join(EMOTIONS)})")


def meaning(path: str) -> Named | None:
    """What a file's name says."""
    name = _NAME.match(stem_of(path))
    if name is None:
        return None
    speaker, word, emotion = name[1].upper().ljust(3, "F"), name[2].lower(), name[3].lower()
    told = {"gender": "female", "age": _AGES[speaker]}
    return Named(f"{speaker}_{word}_{emotion}", speaker, EMOTIONS[emotion], emotion, f"Say the word {word}.", told)


TESS = NamedCorpus("tess", "TESS", "OAF_back_angry.wav", meaning, PUBLISHED, ("tess7",), ("TESS", "tess"))
