"""Any aligned corpus: a manifest (CSV, or JSON lines) with one utterance per row.

Columns: file (a recording with sound, pictures or both), audio, video (where each has a file of its own): paths from
the manifest's folder, at least one; text, label; optional: id, split, speaker, dialogue, utterance, session, start, end
(seconds in both media), valence, arousal, dominance, gender, votes. An empty cell is unset. `votes` are the raters'
labels, `angry; angry; sad+angry`; in JSON a list, each of them a label, a list of labels, or `{"rater": ...,
"labels": [...], "valence": ..., "arousal": ..., "dominance": ...}`.
"""

from __future__ import annotations

import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from dual_hpc.errors import UserError
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.real_path import real_path
from dual_hpc.files.regular_file import other_than_file
from shards.corpora.column_names import renames
from shards.corpora.corpus import Corpus
from shards.corpora.manifest_votes import DIMENSIONS, votes_of
from shards.corpora.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from shards.corpora.text import TextFiles, clean_line, parse_csv
from shards.plan import Plan, Planned, Source, shown

MEDIA = ("file", "audio", "video")  # of which a row has one or more
COLUMNS = (
    *("id", *MEDIA, "text", "label", "split", "speaker", "dialogue", "utterance", "session"),
    *("start", "end", *DIMENSIONS, "gender", "votes"),
)


_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
_LONGEST = 10_000  # characters of a cell; more is a whole file, or a quote that never closed


class BadRow(ValueError):
    """Why a row is left out."""


def read(source: Path, name: str | None = None, *, encoding: str | None = None) -> Plan:
    """Plan of a manifest; the corpus is called `name`, or after the file.

    Args:
        encoding: of the file; None: UTF-8, UTF-16 with its mark, else a guess that is told.

    Raises:
        UserError: no such file, not a manifest, no plain name, or no label in any row.
    """
    if not source.is_file():
        what = f"{source} is not a file" if source.exists() else f"the manifest {source} does not exist"
        raise UserError(f"source: {what}; give a .csv or .jsonl file")
    root = real_path(source).parent
    corpus = name or plain_name(source.stem.lower()).replace("-", "_").strip("_") or "manifest"
    if name and name != plain_name(name):
        raise UserError(f"--name: {name[:60]!r} is not a plain name (letters, digits, - and _)")
    plan = Plan(corpus, root)
    files = TextFiles(plan, encoding)
    seen: set[str] = set()
    for line, row in table_rows(source, files.read(source), plan, COLUMNS, MEDIA):
        where = row_place(source, line)
        try:
            planned = _planned(row, line, corpus, root)
            if planned.key in seen:
                raise BadRow(f"id {planned.key} occurs twice; the first is taken")
        except BadRow as error:
            plan.skip(where, str(error), utterance=where)
            continue
        seen.add(planned.key)
        plan.utterances.append(planned)
    files.tell()
    _tell_neighbours(plan)
    if plan.utterances and all(p.fields["label"] is None for p in plan.utterances):
        raise UserError(f"source: {source} has no labels: fill the column label in at least the rows to train on")
    return plan


def plain_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)


def _tell_neighbours(plan: Plan) -> None:
    """Note rows that name one file although sound or pictures of the same name lie beside it."""
    listed: dict[Path, dict[str, list[str]]] = {}
    beside: dict[str, list[Path]] = {"audio": [], "video": []}
    for planned in plan.utterances:
        given, missing = (planned.video, "audio") if planned.audio is None else (planned.audio, "video")
        if given is None or (planned.audio is not None and planned.video is not None):
            continue
        folder = given.path.parent
        if folder not in listed:
            listed[folder] = {}
            for name in sorted(os.listdir(folder)):
                listed[folder].setdefault(name.rpartition(".")[0], []).append(name)
        suffixes = AUDIO_SUFFIXES if missing == "audio" else VIDEO_SUFFIXES
        others = [n for n in listed[folder].get(given.path.name.rpartition(".")[0], []) if n != given.path.name]
        beside[missing] += [folder / name for name in others if Path(name).suffix.lower() in suffixes][:1]
    for missing, paths in beside.items():
        if paths:
            plan.notes.append(
                f"{len(paths)} rows name no {missing}, but a file of that kind lies beside the one they name "
                f"(the first: {plan.shown(paths[0])}); name it in the column {missing} to pack it"
            )


def table_rows(
    source: Path, text: str, plan: Plan, columns: Sequence[str], media: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and cells by column of each row of a table; what is no row is skipped in the plan.

    Args:
        columns: all that it may have.
        media: of these, it must have one.

    Raises:
        UserError: it is not a table with these columns.
    """
    # JSON lines are often called .json or .txt; no CSV begins like them.
    if source.suffix.lower() in (".jsonl", ".ndjson") or text.lstrip().startswith(("{", "[")):
        yield from _json_rows(source, text, plan)
    else:
        yield from _csv_rows(source, text, plan, columns, media)


def _json_rows(source: Path, text: str, plan: Plan) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, words in enumerate(text.split("\n"), 1):
        if not words.strip():
            continue
        where, twice = row_place(source, line), list[str]()
        try:
            row = parse_json(words, partial(_noting_repeated, twice))
        except ValueError:
            row = None
        if twice:
            plan.skip(where, f"names {twice[0][:40]!r} twice", utterance=where)
        elif isinstance(row, dict):
            yield line, row
        else:
            plan.skip(where, "is not a JSON object (one per line)", utterance=where)


def _noting_repeated(twice: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; the names that it gives two values are added to `twice`."""
    counts = Counter(name for name, _ in pairs)
    twice += [name for name, count in counts.items() if count > 1]
    return dict(pairs)


def _csv_rows(
    source: Path, text: str, plan: Plan, columns: Sequence[str], media: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    header, rows = parse_csv(source, text)
    if not {*media} & {*header}:
        hint = renames(header, columns)
        raise UserError(
            f"{source}: line 1 names neither a column {' nor '.join(media)}{f'; {hint}' if hint else ''} "
            f"(known: {', '.join(columns)}; separated by commas)"
        )
    unknown = next((column for column in header if column not in columns), None)
    if unknown is not None:
        which = f"the unknown column {unknown[:40]!r}" if unknown else "a column without a name"
        hint = renames(header, columns)
        what = f"{hint}, or remove it" if hint else "remove it"
        raise UserError(f"{source}: line 1 has {which}; {what} (known: {', '.join(columns)})")
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise UserError(f"{source}: line 1 names the column {twice!r} twice")
    for line, cells in rows:
        if len(cells) == len(header):
            yield line, dict(zip(header, cells, strict=True))
        else:
            where = row_place(source, line)
            plan.skip(where, f"has {len(cells)} columns, the header has {len(header)}", utterance=where)


def row_place(source: Path, line: int) -> str:
    """How messages name a row."""
    return f"{shown(source, source.parent)}:{line}"


def row_metadata(row: dict[str, Any], line: int, corpus: str, columns: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The key of a row, and the fields of `Utterance` that it tells.

    Raises:
        BadRow: a cell is not what its column takes.
    """
    unknown = sorted(set(row) - set(columns))
    if unknown:
        hint = renames(unknown, columns)
        raise BadRow(f"unknown column {unknown[0][:40]!r}{f'; {hint}' if hint else ''} (known: {', '.join(columns)})")
    key = cell_text(row, "id") or f"row{line:06d}"
    from dual_hpc.data.format.sample import is_valid_key  # pydantic, which no help needs

    if not is_valid_key(key):
        raise BadRow(f"id {key[:60]!r} is not a plain name (letters, digits, - and _, at most 128)")
    label = cell_text(row, "label")
    fields: dict[str, Any] = {
        "corpus": corpus,
        "split": cell_text(row, "split"),
        "session": cell_whole(row, "session"),
        "dialogue": cell_text(row, "dialogue") or key,
        "utterance": cell_whole(row, "utterance") or 0,
        "speaker": cell_text(row, "speaker") or "unknown",
        "label": None if label is None else label.lower(),
        "raw_label": label,
        **{name: cell_number(row, name) for name in DIMENSIONS},
    }
    try:
        votes = votes_of(row.get("votes"))
    except ValueError as error:
        raise BadRow(f"votes: {error}") from error
    if votes:
        fields["votes"] = votes
    if gender := cell_text(row, "gender"):
        fields["attributes"] = {"gender": gender.lower()}
    return key, fields


def _planned(row: dict[str, Any], line: int, corpus: str, root: Path) -> Planned:
    key, fields = row_metadata(row, line, corpus, COLUMNS)
    start, end = cell_number(row, "start"), cell_number(row, "end")
    if (start is not None and start < 0) or (end is not None and end <= (start or 0.0)):
        raise BadRow(f"start {start} and end {end} are not a valid stretch of time")
    audio, video = _file(row, "audio", root), _file(row, "video", root)
    if (whole := _file(row, "file", root)) is not None:
        if audio is not None and video is not None:
            raise BadRow("file is given beside audio and video; leave it empty")
        pictures = None if whole.suffix.lower() in AUDIO_SUFFIXES else whole
        audio, video = audio or whole, video or pictures
    if audio is None and video is None:
        raise BadRow("neither file nor audio nor video is given")
    return Planned(
        key,
        fields,
        None if audio is None else Source(audio, start, end),
        None if video is None else Source(video, start, end),
        cell_text(row, "text"),
    )


def cell_text(row: dict[str, Any], name: str) -> str | None:
    """A cell in one line; None if it is empty.

    Raises:
        BadRow: it is not text.
    """
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, (dict, list)) or value != value:
        raise BadRow(f"{name} is {'NaN' if value != value else 'not a plain value'}")
    text = str(value)
    if len(text) > _LONGEST:
        raise BadRow(f"{name} has {len(text)} characters, more than {_LONGEST}")
    return clean_line(text) or None


def cell_number(row: dict[str, Any], name: str) -> float | None:
    """A cell's number; None if it is empty.

    Raises:
        BadRow: it is no finite number.
    """
    text = cell_text(row, name)
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise BadRow(f"{name} {text[:20] if text else ''!r} is not a number")
    return value


def cell_whole(row: dict[str, Any], name: str) -> int | None:
    value = cell_number(row, name)
    if value is None:
        return None
    if value != int(value) or abs(value) > 10**9:
        raise BadRow(f"{name} {value} is not a whole number")
    return int(value)


def _file(row: dict[str, Any], name: str, root: Path) -> Path | None:
    text = row.get(name)
    if not isinstance(text, str) or not text.strip():
        if text not in (None, "") and not isinstance(text, str):
            raise BadRow(f"{name} is not a path")
        return None
    # An accented letter may be one character in the table and two in the file's name: macOS writes it so.
    for spelling in dict.fromkeys((text.strip(), *(unicodedata.normalize(form, text.strip()) for form in _FORMS))):
        try:
            if (root / spelling).is_file():
                return root / spelling
        except (OSError, ValueError):
            continue
    found = other_than_file(root / text.strip())
    raise BadRow(f"{name} {text.strip()[:120]!r} {f'{found}, not a file' if found else 'does not exist'}")


MANIFEST = Corpus("any other corpus, by a table", read, options=("name", "encoding"))
