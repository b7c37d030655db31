"""MSP-IMPROV (Busso et al., 2017): `Evalution.txt`, as the release spells it, names 8,438 turns of twelve actors.

`MSP-IMPROV-S01A-F01-S-FM01`: sentence and its emotion, who speaks (the number is the session), scenario (R: read) and
turn. A line of the file is a turn's consensus, the lines below it are its raters' answers. Texts are `NAME.txt`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import UserError
from shards.corpora.corpus import Corpus
from shards.corpora.media import MediaFiles, search, tell_broken_links, tell_ignored
from shards.corpora.text import TextFiles, clean_line, corpus_root
from shards.plan import Plan, Planned, Source

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

NAME = "msp_improv"
TABLES = ("Evalution.txt", "Evaluation.txt")
LABELS = {"A": "angry", "H": "happy", "S": "sad", "N": "neutral", "O": "other", "X": "no agreement"}
PUBLISHED = {"utterances": 8438, "label angry": 792, "label happy": 2644, "label sad": 885, "label neutral": 3477}
_TURN = re.compile(r"^(?:MSP|UTD)-IMPROV-S([0-9]{2})([AHNS])-([FM])(0[1-6])-([PRST])-([FM]{2})([0-9]{2,3})$", re.I)
_VALUE = r"([0-9.]+|NaN)"
_RATINGS = rf"A:\s*{_VALUE}\s*;\s*V:\s*{_VALUE}\s*;\s*D:\s*{_VALUE}\s*;"
_LINE = re.compile(rf"^(\S+)\.(?:avi|wav);\s*(\w+);\s*{_RATINGS}", re.I)
_RATER = re.compile(rf"^([A-Za-z0-9_-]+);\s*([A-Za-z]+);.*?{_RATINGS}", re.I)


def read(source: Path, *, encoding: str | None = None) -> Plan:
    """Plan of a release's folder.

    Args:
        encoding: of the text files; None: UTF-8, else a guess that is told.

    Raises:
        UserError: no such folder, or no labels in it.
    """
    plan = Plan(NAME, corpus_root(source, ("MSP-IMPROV", "MSP-Improv")))
    found = search(plan.root, lambda path: _key(path.rpartition("/")[2].rpartition(".")[0]), ("Audio", "Video"))
    tables = sorted((path for path in found.others if path.name in TABLES), key=lambda path: (len(path.parts), path))
    if not tables:
        raise UserError(f"source: {plan.root} has no labels. Add the release's {TABLES[0]} to that folder")
    texts = TextFiles(plan, encoding)
    said = {key: path for path in found.others if path.suffix == ".txt" and (key := _key(path.stem))}
    seen: set[str] = set()
    packed: list[MediaFiles] = []
    rows = texts.read(tables[0]).splitlines()
    for number, text in enumerate(rows, 1):
        if not text.upper().startswith(("UTD-", "MSP-")):
            continue
        where = f"{plan.shown(tables[0])}:{number}"
        row = _LINE.match(text)
        key = None if row is None else _key(row[1])
        if row is None or key is None:
            plan.skip(where, f"is not the line of a turn ({clean_line(text)[:60]!r})", utterance=where)
        elif key in seen:
            plan.skip(where, f"{key} occurs twice; the first is taken", utterance=None)
        elif row[2].upper() not in LABELS:
            plan.skip(where, f"{key}: label {row[2][:20]!r} is not a label of MSP-IMPROV", utterance=key)
        elif (files := found.media.get(key)) is None:
            plan.skip(where, f"{key}: neither audio nor video exists", utterance=key)
        else:
            seen.add(key)
            packed.append(files)
            text_file = said.get(key)
            words = None if text_file is None else clean_line(texts.read(text_file)) or None
            plan.utterances.append(_planned(row, key, files, words, _votes(rows[number:])))
    texts.tell()
    tell_ignored(plan, packed, "utterances")
    tell_broken_links(plan, found.broken)
    if strays := len(found.unknown) + sum(key not in seen for key in found.media):
        plan.notes.append(f"{strays} recordings are in no line of {tables[0].name} and are ignored")
    return plan


def _key(name: str) -> str | None:
    """A turn's name: files begin with MSP, the lines of the labels with UTD."""
    return f"MSP{name[3:].upper()}" if _TURN.match(name) else None


def _votes(rows: Iterable[str]) -> list[dict[str, Any]]:
    """What each rater said: the lines up to the next turn's, or one that is no rater's."""
    found = []
    for text in rows:
        rater = _RATER.match(text.strip())
        if rater is None:
            break
        answers = {name: _rating(rater[number]) for name, number in _RATED.items()}
        known = {name: value for name, value in answers.items() if value is not None}
        found.append({"rater": rater[1], "labels": (rater[2].lower(),), **known})
    return found


_RATED = {"arousal": 3, "valence": 4, "dominance": 5}  # groups of both kinds of line


def _rating(text: str) -> float | None:
    """A rating from 1 to 5; None where there is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 1 <= value <= 5 else None


def _planned(row: re.Match[str], key: str, files: MediaFiles, text: str | None, votes: list[dict[str, Any]]) -> Planned:
    turn = _TURN.match(key)
    assert turn is not None and files.sound is not None, "keys are of turns, and media of keys"
    sentence, emotion, gender, session, scenario, _, number = turn.groups()
    fields = {
        "corpus": NAME,
        "session": int(session),
        "dialogue": f"S{sentence}{emotion}-{session}-{scenario}",
        "utterance": int(number),
        "speaker": f"{gender}{session}",
        "label": LABELS[row[2].upper()],
        "raw_label": row[2],
        "scripted": scenario == "R",
        **{name: _rating(row[group]) for name, group in _RATED.items()},
        "attributes": {"gender": "female" if gender == "F" else "male", "scenario": scenario},
        **({"votes": votes} if votes else {}),
    }
    pictures = None if files.pictures is None else Source(files.pictures)
    return Planned(key, fields, Source(files.sound), pictures, text)


def _groups(utterance: Utterance) -> list[str]:
    group = f"label {utterance.label}"
    return ["utterances", *([group] if group in PUBLISHED else [])]


MSP_IMPROV = Corpus("MSP-IMPROV", read, ("msp-improv4", "all"), PUBLISHED, _groups, ("encoding",))
