"""MSP-Podcast (Lotfian and Busso, 2019): `Labels/labels_consensus.csv` names the files of `Audios`, sound alone.

The table has FileName, EmoClass (a letter; X: no agreement), EmoAct, EmoVal, EmoDom (1 to 7), SpkrID, Gender and
Split_Set (Train, Development, Test1, Test2, Test3). Releases differ in the number of their files, so none is published
here. Texts are `Transcripts/NAME.txt` where they were fetched.
"""

from __future__ import annotations

import math
from pathlib import Path

from dual_hpc.errors import UserError
from shards.corpora.annotation_table import table_rows
from shards.corpora.corpus import Corpus
from shards.corpora.media import MediaFiles, search, tell_broken_links, tell_ignored
from shards.corpora.text import TextFiles, clean_line, corpus_root
from shards.plan import Plan, Planned, Source

NAME = "msp_podcast"
TABLE = "labels_consensus.csv"
LABELS = {
    **{"a": "angry", "s": "sad", "h": "happy", "u": "surprise", "f": "fear", "d": "disgust", "c": "contempt"},
    **{"n": "neutral", "o": "other", "x": "no agreement"},
}
_NEEDED = ("FileName", "EmoClass", "SpkrID", "Split_Set")
_DIMENSIONS = {"EmoVal": "valence", "EmoAct": "arousal", "EmoDom": "dominance"}
_UNKNOWN = ("", "unknown", "nan")

Row = dict[str, str]


def read(source: Path, *, encoding: str | None = None) -> Plan:
    """Plan of a release's folder.

    Args:
        encoding: of the table; None: UTF-8, else a guess that is told.

    Raises:
        UserError: no such folder, no table of labels in it, or one of another form.
    """
    plan = Plan(NAME, corpus_root(source, ("MSP-PODCAST", "MSP-Podcast")))
    found = search(plan.root, lambda path: path.rpartition("/")[2].rpartition(".")[0].lower(), ("Audios?",))
    tables = sorted((path for path in found.others if path.name == TABLE), key=lambda path: (len(path.parts), path))
    if not tables:
        raise UserError(f"source: {plan.root} has no labels. Add the release's Labels/{TABLE} to that folder")
    texts = TextFiles(plan, encoding)
    rows = table_rows(plan, tables[0], texts, _NEEDED, "a table of MSP-Podcast")
    said = {path.stem.lower(): path for path in found.others if path.suffix == ".txt"}
    seen: set[str] = set()
    packed: list[MediaFiles] = []
    for where, row in rows:
        key = row["FileName"].strip().rpartition(".")[0]
        files = found.media.get(key.lower())
        reason = _reason(row, key, files, key in seen)
        if reason is not None or files is None:
            plan.skip(where, reason or "", utterance=None if key in seen else key or where)
            continue
        seen.add(key)
        packed.append(files)
        text = said.get(key.lower())
        plan.utterances.append(
            _planned(row, key, files, None if text is None else clean_line(texts.read(text)) or None)
        )
    texts.tell()
    tell_ignored(plan, packed, "utterances")
    tell_broken_links(plan, found.broken)
    if strays := len(found.media) - len(seen):
        plan.notes.append(f"{strays} recordings are in no row of {TABLE} and are ignored")
    return plan


def _reason(row: Row, key: str, files: MediaFiles | None, twice: bool) -> str | None:
    """Why a row is left out; None: it is not."""
    from dual_hpc.data.format.sample import is_valid_key  # pydantic, which no help needs

    if not is_valid_key(key):
        return f"FileName {row['FileName'][:40]!r} is not the name of a recording"
    if twice:
        return f"{key} occurs twice; the first is taken"
    if row["EmoClass"].strip().lower() not in LABELS:
        return f"{key}: EmoClass {row['EmoClass'][:20]!r} is not a class of MSP-Podcast"
    return f"{key}: the recording is absent" if files is None or files.sound is None else None


def _planned(row: Row, key: str, files: MediaFiles, text: str | None) -> Planned:
    speaker, gender = clean_line(row["SpkrID"]), clean_line(row.get("Gender", "")).lower()
    letter = row["EmoClass"].strip()
    assert files.sound is not None, "looked for by `_reason`"
    fields = {
        "corpus": NAME,
        "split": clean_line(row["Split_Set"]).lower() or None,
        "dialogue": key.rpartition("_")[0] or key,  # the podcast, whose segments are numbered
        "utterance": int(tail) if (tail := key.rpartition("_")[2]).isdecimal() and tail.isascii() else 0,
        "speaker": "unknown" if speaker.lower() in _UNKNOWN else speaker,
        "label": LABELS[letter.lower()],
        "raw_label": letter,
        **{name: _number(row.get(column, "")) for column, name in _DIMENSIONS.items()},
        "attributes": None if gender in _UNKNOWN else {"gender": gender},
    }
    return Planned(key, fields, Source(files.sound), None, text)


def _number(text: str) -> float | None:
    """A rating from 1 to 7; None where there is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 1 <= value <= 7 else None


MSP_PODCAST = Corpus("MSP-Podcast", read, protocols=("msp-podcast8", "msp-podcast4", "all"), options=("encoding",))
