"""IEMOCAP: the full release (Session1..5) and the short layout (Audio, Video, Transcriptions), alone or mixed.

Only the EmoEvaluation files carry labels; without any the corpus is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError
from shards.corpora.corpus import Corpus
from shards.corpora.text import clean_line, corpus_root, files_below, media_files, read_text
from shards.plan import Plan, Planned, Source

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

NAME = "iemocap"
LABELS = {  # and how many utterances the release has of each
    **{"ang": 1103, "dis": 2, "exc": 1041, "fea": 40, "fru": 1849, "hap": 595, "neu": 1708, "oth": 3},
    **{"sad": 1084, "sur": 107, "xxx": 2507},
}
SESSIONS = {1: 1819, 2: 1811, 3: 2136, 4: 2103, 5: 2170}

# Group 2 is the actor who wears markers in the recording, group 4 the one who speaks.
_UTTERANCE = re.compile(r"^Ses0([1-5])([FM])_(impro\d\d[ab]?|script\d\d_\d[b]?)_([FM])(\d{3})$")
_UNSCORED = re.compile(r"^Ses0[1-5][FM]_\w+_[FM]?XX\w*$")
_DIALOGUE = re.compile(r"^Ses0[1-5][FM]_(impro\d\d[ab]?|script\d\d_\d[b]?)$")
_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_LABEL = re.compile(rf"^\[{_NUMBER}-{_NUMBER}\]\t(\S+)\t(\w+)\t\[{_NUMBER},{_NUMBER},{_NUMBER}\]\s*$")
_TURN = re.compile(r"^(\S+) \[[\d.]+-[\d.]+\]: (.*)$")


def read(source: Path) -> Plan:
    """Plan of an IEMOCAP folder.

    Raises:
        UserError: no such folder, or no label source in it.
    """
    root = corpus_root(source, ("IEMOCAP_full_release", "IEMOCAP"))
    plan = Plan(NAME, root)
    labels = sorted(
        path
        for folder in _folders(root, "Session[1-5]/dialog/EmoEvaluation", "EmoEvaluation")
        for path in folder.glob("*.txt")  # sub-folders hold single raters, not the majority
        if _is_text(path)
    )
    if not labels:
        raise UserError(
            f"source: {root} has no labels. Add the release's Session*/dialog/EmoEvaluation/*.txt files there "
            f"(or in {root.name}/EmoEvaluation/), or pack it as a manifest with a label column"
        )
    audio = _media(root, "Session[1-5]/sentences/wav", "Session[1-5]/dialog/wav", "Audio")
    video = _media(root, "Session[1-5]/dialog/avi", "Video")
    texts = _transcriptions(root, plan)
    seen: set[str] = set()
    for path in labels:
        if not _DIALOGUE.match(path.stem):
            plan.skip(plan.shown(path), "the file's name is not a dialogue of IEMOCAP")
            continue
        said = len(plan.skips)
        rows = list(_labelled(path, plan))
        if not rows and len(plan.skips) == said:
            plan.skip(plan.shown(path), "holds no label line")
        for line, row in rows:
            where = f"{plan.shown(path)}:{line}"
            planned = _planned(row, path.stem, audio, video, texts)
            if isinstance(planned, str):
                plan.skip(where, planned)
            elif planned.key in seen:
                plan.skip(where, f"{planned.key} occurs twice; the first is packed")
            else:
                seen.add(planned.key)
                plan.utterances.append(planned)
    for key in sorted(texts.keys() - seen):
        plan.skip(key, "is transcribed but has no label")
    return plan


def _planned(
    row: re.Match[str], dialogue: str, audio: dict[str, Path], video: dict[str, Path], texts: dict[str, str]
) -> Planned | str:
    """The utterance of a label line, or why there is none."""
    start, end, key, label = float(row[1]), float(row[2]), row[3], row[4]
    name = _UTTERANCE.match(key)
    if name is None or not key.startswith(dialogue + "_"):
        return f"{key[:80]!r} is not an utterance of dialogue {dialogue}"
    if label.lower() not in LABELS:
        return f"{key}: label {label[:20]!r} is not a label of IEMOCAP"
    if not start < end < 7200:
        return f"{key}: begins at {start} s and ends at {end} s"
    session, marked, _, speaker, number = name.groups()
    sound = Source(audio[key]) if key in audio else _stretch(audio.get(dialogue), start, end)
    picture = Source(video[key]) if key in video else _stretch(video.get(dialogue), start, end)
    if sound is None and picture is None:
        return f"{key}: neither audio nor video exists"
    valence, arousal, dominance = (float(row[i]) for i in (5, 6, 7))
    fields = {
        "corpus": NAME,
        "session": int(session),
        "dialogue": dialogue,
        "utterance": int(number),
        "speaker": f"Ses0{session}{speaker}",
        "label": label.lower(),
        "raw_label": label,
        "valence": valence,
        "arousal": arousal,
        "dominance": dominance,
        "scripted": name[3].startswith("script"),
    }
    return Planned(key, fields, sound, picture, texts.get(key), "named" if speaker == marked else "other")


def _stretch(path: Path | None, start: float, end: float) -> Source | None:
    return None if path is None else Source(path, start, end)


def _folders(root: Path, *patterns: str) -> list[Path]:
    return [folder for pattern in patterns for folder in sorted(root.glob(pattern)) if folder.is_dir()]


def _is_text(path: Path) -> bool:
    """No AppleDouble file, and nothing that would never end, like a pipe."""
    return not path.name.startswith(".") and path.is_file()


def _media(root: Path, *patterns: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _folders(root, *patterns):
        for stem, path in media_files(folder).items():
            found.setdefault(stem, path)
    return found


def _labelled(path: Path, plan: Plan) -> Iterator[tuple[int, re.Match[str]]]:
    """The first lines of the blocks; the header also begins with a bracket, after a percent sign."""
    for line, text in enumerate(read_text(path).split("\n"), 1):
        if not text.startswith("["):
            continue
        match = _LABEL.match(text.rstrip("\r"))
        if match:
            yield line, match
        else:
            plan.skip(f"{plan.shown(path)}:{line}", f"is not a label line: {clean_line(text)[:60]!r}")


def _transcriptions(root: Path, plan: Plan) -> dict[str, str]:
    """Text by utterance id. XX ids (never scored) and lines of another form are counted, not packed."""
    texts: dict[str, str] = {}
    unscored = malformed = 0
    for folder in _folders(root, "Session[1-5]/dialog/transcriptions", "Transcriptions"):
        for path in (path for path in files_below(folder) if path.suffix == ".txt"):
            for text in read_text(path).splitlines():
                turn = _TURN.match(text)
                if turn and _UTTERANCE.match(turn[1]):
                    texts.setdefault(turn[1], clean_line(turn[2]))
                elif turn and _UNSCORED.match(turn[1]):
                    unscored += 1
                elif text.strip():
                    malformed += 1
    if unscored:
        plan.notes.append(f"{unscored} transcribed turns with an XX id were never scored and are ignored")
    if malformed:
        plan.notes.append(f"{malformed} lines of the transcriptions are not turns and are ignored")
    return texts


def session_and_label(utterance: Utterance) -> list[str]:
    """The groups in which the release counts."""
    return [f"session {utterance.session}", f"label {utterance.label}"]


IEMOCAP = Corpus(
    "IEMOCAP",
    read,
    protocols=("iemocap4", "iemocap6", "all"),
    published={
        **{f"session {number}": count for number, count in SESSIONS.items()},
        **{f"label {label}": count for label, count in LABELS.items()},
    },
    groups_of=session_and_label,
    options=("named_side", "picture_rows"),
)
