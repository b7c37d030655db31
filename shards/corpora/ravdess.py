"""RAVDESS (Livingstone and Russo, 2018): 24 actors say two sentences; `03-01-06-01-02-01-12.wav`.

Modality (01 both, 02 pictures, 03 sound), channel (01 speech, 02 song), emotion, intensity, sentence, repetition,
actor.
Speech alone is packed, 1,440 utterances; actors of odd numbers are men.
"""

from __future__ import annotations

from shards.corpora.named import Named, NamedCorpus, stem_of, whole_name

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
SENTENCES = ("Kids are talking by the door.", "Dogs are sitting by the door.")
ACTORS = tuple(f"{number:02d}" for number in range(1, 25))
PUBLISHED = {"neutral": 96, **dict.fromkeys(EMOTIONS[1:], 192)}
_NAME = whole_name(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-([0-9]{2})")


def meaning(path: str) -> Named | None:
    """What a file's name says."""
    name = _NAME.match(stem_of(path))
    if (
        name is None or name[7] not in ACTORS or (name[3] == "01" and name[4] == "02")
    ):  # neutral has no strong intensity
        return None
    modality, channel, emotion, intensity, sentence, repetition, actor = name.groups()
    label = EMOTIONS[int(emotion) - 1]
    return Named(
        key="-".join(name.groups()[1:]),
        speaker=actor,
        label=label,
        raw_label=emotion,
        text=SENTENCES[int(sentence) - 1],
        attributes={
            "gender": "male" if int(actor) % 2 else "female",
            "intensity": "strong" if intensity == "02" else "normal",
            "repetition": str(int(repetition)),
        },
        silent=modality == "02",
        left_out="are songs" if channel == "02" else None,
    )


RAVDESS = NamedCorpus(
    "ravdess",
    "RAVDESS",
    "03-01-06-01-02-01-12.wav",
    meaning,
    PUBLISHED,
    ("ravdess8", "ravdess8-hicmae", "ravdess8-emobox"),
    ("RAVDESS", "ravdess"),
    (r"(?!audio_speech_actors_01-24/)",),
)
