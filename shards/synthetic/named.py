"""Folders of acted corpora as they are downloaded: every name of the release, and the litter that comes with it.

The recordings are all one tiny file, given by whoever asks: what a reader finds depends on names alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

from shards.corpora import cremad, mead, ravdess, savee

CREMAD_ABSENT = frozenset(  # that the scheme of names would have, and the release has not
    {
        "1002_TIE_NEU_XX",
        "1076_ITS_NEU_XX",
        *(f"{who}_{emotion}_XX" for who in ("1008_WSI", "1009_MTI", "1019_ITH") for emotion in
          ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")),
    }
)  # fmt: skip
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 75000\n" % (b"0" * 64)


def cremad_names() -> list[str]:
    """Paths of the 7,442 recordings of CREMA-D; one of them ends in `X` instead of `XX`."""
    names = []
    for actor, sentence, label in itertools.product(cremad.ACTORS, cremad.SENTENCES, cremad.PUBLISHED):
        emotion = label.upper()
        for level in ("LO", "MD", "HI") if sentence == "IEO" and emotion != "NEU" else ("XX",):
            names.append(f"{actor}_{sentence}_{emotion}_{level}")
    kept = [name for name in names if name not in CREMAD_ABSENT]
    return [f"AudioWAV/{'1040_ITH_SAD_X' if name == '1040_ITH_SAD_XX' else name}.wav" for name in kept]


def ravdess_names() -> list[str]:
    """Paths of the 1,440 recordings of RAVDESS's speech."""
    scheme = itertools.product(ravdess.ACTORS, range(1, 9), (1, 2), (1, 2), (1, 2))
    return [
        f"Actor_{actor}/03-01-{emotion:02d}-{intensity:02d}-{sentence:02d}-{take:02d}-{actor}.wav"
        for actor, emotion, intensity, sentence, take in scheme
        if (emotion, intensity) != (1, 2)
    ]


def savee_names() -> list[str]:
    """Paths of the 480 recordings of SAVEE."""
    counts = {letters: 30 if letters == "n" else 15 for letters in savee.EMOTIONS}
    return [
        f"AudioData/{speaker}/{letters}{number:02d}.wav"
        for speaker in savee.SPEAKERS
        for letters, count in counts.items()
        for number in range(1, count + 1)
    ]


def mead_names(actors: Iterable[str] = ("M003", "W009")) -> list[str]:
    """Paths of two takes of each emotion and intensity of MEAD, from two cameras, with their sound."""
    found = []
    for actor, emotion, level, take in itertools.product(actors, mead.EMOTIONS, (1, 2, 3), (1, 2)):
        if emotion != "neutral" or level == 1:
            place = f"{emotion}/level_{level}/{take:03d}"
            found += [f"{actor}/video/{camera}/{place}.mp4" for camera in ("front", "left_30")]
            found.append(f"{actor}/audio/{place}.m4a")
    return found


def write_release(folder: Path, names: Iterable[str], recording: bytes, litter: bool = True) -> None:
    """The files of a release.

    Args:
        recording: content of each.
        litter: also what downloads bring along: AppleDouble files, notes, a placeholder, a file of another name.
    """
    names = list(names)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(recording)
    if not litter:
        return
    first = folder / names[0]
    first.with_name(f"._{first.name}").write_bytes(b"\0\5\x16\7")
    for name, content in _LITTER.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content(recording))


_LITTER: dict[str, Callable[[bytes], bytes]] = {
    ".DS_Store": lambda _: b"\0\0\0\1Bud1",
    "README.md": lambda _: b"# A corpus\n",
    "__MACOSX/._x.wav": lambda _: b"\0\5\x16\7",
    "test recording.wav": lambda recording: recording,
}
