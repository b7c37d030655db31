"""IEMOCAP: the full release (Session1..5) and the short layout (Audio, Video, Transcriptions), alone or mixed.

Only the EmoEvaluation files carry labels; without any the corpus is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import UserError
from shards.corpora.corpus import Corpus
from shards.corpora.iemocap_listener import is_listener, listeners_of
from shards.corpora.iemocap_votes import votes_of
from shards.corpora.media import MediaFiles, search, tell_broken_links, tell_ignored
from shards.corpora.text import TextFiles, clean_line, corpus_root, files_below
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
_PREFERRED = (r"Session[1-5]/(sentences/wav|dialog/(wav|avi))", "Audio", "Video")  # folders of media


def read(source: Path, *, encoding: str | None = None, listener: str | None = None) -> Plan:
    """Plan of an IEMOCAP folder.

    Args:
        encoding: of the text files; None: UTF-8, else a guess that is told.
        listener: `yes`: the listener's half of each utterance's pictures is a sample of its own.

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
    found = search(root, _media_key, _PREFERRED)
    files = TextFiles(plan, encoding)
    texts = _transcriptions(root, plan, files)
    seen = _Seen()
    for path in labels:
        if _DIALOGUE.match(path.stem):
            _read_labels(plan, path, files.read(path), found.media, texts, seen)
        else:
            plan.skip(plan.shown(path), "the file's name is not a dialogue of IEMOCAP", utterance=None)
    _tell_unlabelled(plan, texts.keys() - seen.labelled, seen.unreadable)
    files.tell()
    used = sorted(seen.planned | {str(planned.fields["dialogue"]) for planned in plan.utterances})
    tell_ignored(plan, [found.media[key] for key in used if key in found.media], "utterances or dialogues")
    tell_broken_links(plan, found.broken)
    _tell_media(plan, found.unknown)
    if listener is not None:
        plan.utterances += listeners_of(plan)
        plan.choices["listener"] = listener
    return plan


@dataclass
class _Seen:
    """What the label files have told so far."""

    labelled: set[str] = field(default_factory=set)  # keys of utterances
    planned: set[str] = field(default_factory=set)
    unreadable: list[tuple[str, int]] = field(default_factory=list)  # dialogue, and number of the skip, of each line


def _read_labels(
    plan: Plan, path: Path, content: str, media: dict[str, MediaFiles], texts: dict[str, str], seen: _Seen
) -> None:
    """Plan the utterances of a label file: of each block the first line."""
    lines = unread = 0
    rows = content.split("\n")
    for number, text in enumerate(rows, 1):
        if not text.startswith("["):  # the header's bracket comes after a percent sign
            continue
        lines += 1
        where = f"{plan.shown(path)}:{number}"
        row = _LABEL.match(text.rstrip("\r"))
        if row is None:
            seen.unreadable.append((path.stem, len(plan.skips)))
            plan.skip(where, f"is not a label line ({clean_line(text)[:60]!r})", utterance=where)
            continue
        key = row[3]
        votes, odd = votes_of(_block(rows, number))
        unread += odd
        planned = _planned(row, path.stem, media, texts, votes)
        if isinstance(planned, str):
            plan.skip(where, planned, utterance=None if key in seen.labelled else key)
        elif key in seen.planned:
            plan.skip(where, f"{key} occurs twice; the first is taken", utterance=None)
        else:
            plan.utterances.append(planned)
            seen.planned.add(key)
        seen.labelled.add(key)
    if not lines:
        plan.skip(plan.shown(path), "holds no label line", utterance=None)
    if unread:
        plan.notes.append(f"{plan.shown(path)}: {unread} lines of single raters cannot be read and are left out")


def _block(rows: list[str], start: int) -> list[str]:
    """The lines from `start` up to the next empty or label line: what single raters said."""
    found = []
    for text in rows[start:]:
        if not text.strip() or text.startswith(("[", "%")):
            break
        found.append(text)
    return found


def _tell_unlabelled(plan: Plan, transcribed: set[str], unreadable: list[tuple[str, int]]) -> None:
    """Turns without a label line; one that cannot be read may be that of such a turn, which then is counted once."""
    left = Counter(key.rpartition("_")[0] for key in transcribed)
    for dialogue, number in unreadable:
        if left[dialogue] > 0:
            left[dialogue] -= 1
            plan.skips[number] = replace(plan.skips[number], utterance=None)
    for key in sorted(transcribed):
        plan.skip(key, "is transcribed, but no label line that can be read names it", utterance=key)


def _tell_media(plan: Plan, unknown: list[Path]) -> None:
    """Sound that had to be taken from the video, and media whose names say nothing."""
    videos = sum(planned.audio is not None and planned.audio == planned.video for planned in plan.utterances)
    if videos:
        plan.notes.append(
            f"{videos} utterances have no audio file, neither their own nor their dialogue's; their sound is that of "
            "the video file, if any"
        )
    if unknown:
        plan.notes.append(
            f"{len(unknown)} media files are not named after an utterance or a dialogue and are ignored "
            f"(the first: {plan.shown(unknown[0])})"
        )


def _planned(
    row: re.Match[str],
    dialogue: str,
    media: dict[str, MediaFiles],
    texts: dict[str, str],
    votes: list[dict[str, Any]],
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
    own, whole = media.get(key, MediaFiles()), media.get(dialogue, MediaFiles())
    picture = _source(own.video, whole.video, start, end)
    sound = _source(own.audio, whole.audio, start, end) or picture  # which may hold it
    if sound is None:
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
        "attributes": {"gender": {"F": "female", "M": "male"}[speaker]},
        **({"votes": votes} if votes else {}),
    }
    return Planned(key, fields, sound, picture, texts.get(key), "named" if speaker == marked else "other")


def _source(own: list[Path], whole: list[Path], start: float, end: float) -> Source | None:
    """The utterance's own file, else its stretch of the dialogue's."""
    if own:
        return Source(own[0])
    return Source(whole[0], start, end) if whole else None


def _media_key(path: str) -> str | None:
    """An utterance's or a dialogue's id, if a media file is named after it."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    return stem if _UTTERANCE.match(stem) or _DIALOGUE.match(stem) else None


def _folders(root: Path, *patterns: str) -> list[Path]:
    return [folder for pattern in patterns for folder in sorted(root.glob(pattern)) if folder.is_dir()]


def _is_text(path: Path) -> bool:
    """No AppleDouble file, and nothing that would never end, like a pipe."""
    return not path.name.startswith(".") and path.is_file()


def _transcriptions(root: Path, plan: Plan, files: TextFiles) -> dict[str, str]:
    """Text by utterance id. XX ids (never scored) and lines of another form are counted, not packed."""
    texts: dict[str, str] = {}
    unscored: set[str] = set()
    differing: set[str] = set()
    malformed = 0
    for folder in _folders(root, "Session[1-5]/dialog/transcriptions", "Transcriptions"):
        for path in (path for path in files_below(folder) if path.suffix == ".txt"):
            for text in files.read(path).splitlines():
                turn = _TURN.match(text)
                if turn and _UTTERANCE.match(turn[1]):
                    said = clean_line(turn[2])
                    if texts.setdefault(turn[1], said) != said:
                        differing.add(turn[1])
                elif turn and _UNSCORED.match(turn[1]):
                    unscored.add(text)
                elif text.strip():
                    malformed += 1
    if unscored:
        plan.notes.append(f"{len(unscored)} transcribed turns with an XX id were never scored and are ignored")
    if malformed:
        plan.notes.append(f"{malformed} lines of the transcriptions are not turns and are ignored")
    if differing:
        plan.notes.append(
            f"{len(differing)} utterances are transcribed twice in different words; the first is taken "
            f"(the first: {min(differing)})"
        )
    return texts


def session_and_label(utterance: Utterance) -> list[str]:
    """The groups in which the release counts; it counts no listeners."""
    if is_listener(utterance):
        return []
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
    options=("named_side", "picture_rows", "encoding", "listener"),
)
