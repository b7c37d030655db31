"""MEAD (Wang et al., 2020): actors say sentences at three intensities before seven cameras; neutral has one intensity.

`M003/video/front/angry/level_3/001.mp4`, its sound `M003/audio/angry/level_3/001.m4a`. Of the cameras the front one is
packed; actors are published in parts, so no count is.
"""

from __future__ import annotations

import re

from shards.corpora.named import Named, NamedCorpus

EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
CAMERAS = ("front", "down", "top", "left_30", "left_60", "right_30", "right_60")
_NAME = re.compile(
    rf"(?:^|/)([MW][0-9]{{3}})/(?:video/({'|'.join(CAMERAS)})|audio)/({'|'.join(EMOTIONS)})[/_]level_([123])/"
    r"([0-9]{3})\.[^./]+$"
)


def meaning(path: str) -> Named | None:
    """What a file's folders and its name say."""
    name = _NAME.search(path)
    if name is None or (name[3] == "neutral" and name[4] != "1"):
        return None
    actor, _, emotion, level, number = name.groups()
    gender = "male" if actor.startswith("M") else "female"
    attributes = {"gender": gender, "intensity": level}
    return Named(f"{actor}_{emotion}_{level}_{number}", actor, emotion, emotion, None, attributes)


MEAD = NamedCorpus(
    *("mead", "MEAD", "M003/video/front/angry/level_1/001.mp4", meaning, {}, ("mead8",), ("MEAD",)),
    tuple(rf"(.*/)?video/{camera}" for camera in CAMERAS),
)
