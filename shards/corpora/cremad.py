"""CREMA-D (Cao et al., 2014): 91 actors say 12 sentences; `1001_DFA_ANG_XX.wav`, videos `.flv` or `.mp4`.

Counts of the release: 7,442 clips, of which 20 that its scheme of names would have are absent.
"""

from __future__ import annotations

from shards.corpora.named import Named, NamedCorpus, stem_of, whole_name

SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
ACTORS = range(1001, 1092)
PUBLISHED = {"ang": 1271, "dis": 1271, "fea": 1271, "hap": 1271, "neu": 1087, "sad": 1271}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
_WOMEN = frozenset(
    {
        *(1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025, 1028, 1029, 1030),
        *(1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063, 1072, 1073, 1074, 1075),
        *(1076, 1078, 1079, 1082, 1084, 1089, 1091),
    }
)  # VideoDemographics.csv of the release
_LEVEL = f"{'|'.join(LEVELS)}|X"  # one file of the release ends in `X`
_NAME = whole_name(rf"([0-9]{{4}})_({'|'.join(SENTENCES)})_({'|'.join(PUBLISHED)})_({_LEVEL})")


def meaning(path: str) -> Named | None:
    """What a file's name says."""
    name = _NAME.match(stem_of(path))
    if name is None or int(name[1]) not in ACTORS:
        return None
    actor, sentence, emotion, level = name[1], name[2].upper(), name[3].upper(), name[4].upper().replace("X", "XX")[:2]
    return Named(
        key=f"{actor}_{sentence}_{emotion}_{level}",
        speaker=actor,
        label=emotion.lower(),
        raw_label=emotion,
        text=SENTENCES[sentence],
        attributes={"gender": "female" if int(actor) in _WOMEN else "male", "intensity": LEVELS[level]},
    )


CREMAD = NamedCorpus(
    "cremad",
    "CREMA-D",
    "1001_DFA_ANG_XX.wav",
    meaning,
    PUBLISHED,
    ("cremad6", "cremad6-emosuperb"),
    ("CREMA-D", "CREMAD", "cremad"),
    ("AudioWAV", "VideoFlash", "AudioMP3"),
)
