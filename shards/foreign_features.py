"""Features that somebody else extracted, as arrays named by a table, to feature shards like those of `extract`.

Each modality's width, and its vectors per second, are declared; an array that is otherwise is refused, not stretched.
Killed and started again it continues after the last finished shard; array tasks share the shards as in packing.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.format.index import ShardIndex, dataset_id, write_index
from dual_hpc.data.format.sample import FEATURES, TEXT, Utterance
from dual_hpc.errors import UserError
from dual_hpc.files.real_path import real_path
from dual_hpc.progress import ProgressDisplay
from shards.arrays import ArrayFiles
from shards.corpora.manifest import BadRow, cell_number, cell_text, plain_name, row_metadata, row_place, table_rows
from shards.corpora.manifest_votes import DIMENSIONS
from shards.corpora.text import TextFiles
from shards.layout import FEWEST_SHARDS, FULL_SHARD, extraction_fingerprint, shard_name, share
from shards.pack_state import FinishedShard, PackState, report_disk_faults
from shards.plan import Plan
from shards.writer import Sample, ShardWriter

MODALITIES = ("audio", "video", "words")  # columns of the table; `words` are the features of a transcript
NAMES = {"audio": "audio", "video": "video", "words": "text"}  # column -> modality
COLUMNS = (
    *("id", "audio", "video", "words", "text", "label", "split", "speaker", "dialogue", "utterance", "session"),
    *("duration", *DIMENSIONS, "gender", "votes"),
)
_TOLERANCE = 0.25  # of the duration, by which a rate may miss it: models pad, and drop what is left at the end


@dataclass(frozen=True)
class Declared:
    """What one modality's arrays are: their width, and how many there are per second (None: not in time)."""

    width: int
    hz: float | None


@dataclass(frozen=True)
class Row:
    """One utterance of the table."""

    place: str
    key: str
    fields: dict[str, Any]
    text: str | None
    duration: float | None
    arrays: dict[str, tuple[Path, str | None]]  # column -> file, and the entry in it


def declared(words: Sequence[str]) -> dict[str, Declared]:
    """`["audio=768@50", "video=512@25", "words=1024"]` -> column -> what is declared of it.

    Raises:
        UserError: not of this form.
    """
    found: dict[str, Declared] = {}
    for word in words:
        match = re.fullmatch(r"(audio|video|words)=(\d{1,6})(?:@(\d+(?:\.\d+)?))?", word)
        if match is None or not int(match[2]) or match[1] in found or (match[3] is not None and not float(match[3])):
            raise UserError(f"--array: {word!r} is not NAME=WIDTH@HZ once for audio, video or words, as audio=768@50")
        if (match[1] == "words") != (match[3] is None):
            what = "words have no rate" if match[1] == "words" else f"{match[1]} needs its vectors per second"
            raise UserError(f"--array: {word}: {what}; write as in audio=768@50, video=512@25, words=1024")
        found[match[1]] = Declared(int(match[2]), None if match[3] is None else float(match[3]))
    if not found:
        raise UserError("--array: say what the arrays are, as --array audio=768@50 --array words=1024")
    return found


def read_table(
    source: Path, name: str | None, arrays: Mapping[str, Declared], encoding: str | None
) -> tuple[str, list[Row]]:
    """Name of the corpus, and the rows of a table (CSV, or JSON lines); without any label they can be predicted alone.

    Raises:
        UserError: no such file, or a row that cannot be used: features are not left out silently.
    """
    if not source.is_file():
        raise UserError(f"source: the table {source} does not exist; give a .csv or .jsonl file")
    corpus = plain_name(name or source.stem.lower()) or "features"
    plan = Plan(corpus, real_path(source).parent)
    rows: list[Row] = []
    for line, cells in table_rows(source, TextFiles(plan, encoding).read(source), plan, COLUMNS, MODALITIES):
        place = row_place(source, line)
        try:
            rows.append(_row(cells, line, place, corpus, plan.root, arrays))
        except BadRow as error:
            plan.skip(place, str(error))
    if plan.skips:
        more = f" (and {len(plan.skips) - 1} more rows)" if len(plan.skips) > 1 else ""
        raise UserError(f"{plan.skips[0].where}: {plan.skips[0].reason}{more}")
    counts = Counter(row.key for row in rows)
    if not rows or max(counts.values()) > 1:
        raise UserError(
            f"{source}: " + (f"id {max(counts, key=counts.__getitem__)} occurs twice" if rows else "has no rows")
        )
    if idle := [column for column in arrays if not any(column in row.arrays for row in rows)]:
        raise UserError(f"--array: {idle[0]} is declared, but no row of {source.name} names one; leave it out")
    return corpus, sorted(rows, key=lambda row: hashlib.sha256(row.key.encode()).digest())


def _row(cells: dict[str, Any], line: int, place: str, corpus: str, root: Path, arrays: Mapping[str, Declared]) -> Row:
    key, fields = row_metadata(cells, line, corpus, COLUMNS)
    found = {}
    for column in MODALITIES:
        if (cell := cell_text(cells, column)) is None:
            continue
        if column not in arrays:
            raise BadRow(f"{column} is given, but --array says nothing of it")
        found[column] = _place(root, cell)
    if not found:
        raise BadRow("names no array")
    duration = cell_number(cells, "duration")
    if duration is not None and not 0 < duration < 1e6:
        raise BadRow(f"duration {duration} is not a number of seconds")
    return Row(place, key, fields, cell_text(cells, "text"), duration, found)


def _place(root: Path, cell: str) -> tuple[Path, str | None]:
    """The file, and the entry in it; a file's own name may have a # as well."""
    name, mark, entry = cell.rpartition("#")
    if not mark or (root / cell).exists():
        return root / cell, None
    return root / name, entry or None


@report_disk_faults()
def pack_features(
    source: Path,
    out: Path,
    arrays: Mapping[str, Declared],
    name: str | None = None,
    encoding: str | None = None,
    dtype: str = "float32",
    array: tuple[int, int] = (0, 1),
    progress: bool | None = None,
    maker: str | None = None,
) -> ShardIndex | None:
    """Write feature shards of the arrays that a table names.

    Args:
        maker: what made them; features of one maker are read together, and by models that were trained on such ones.
            None: known for this corpus alone.

    Returns:
        The index; None from an array task while shards of others are missing.

    Raises:
        UserError: the table, an array, or `out` is not what it must be.
        EnvironmentFault: the disk is full or cannot be written.
    """
    corpus, rows = read_table(source, name, arrays, encoding)
    if maker is not None and maker != plain_name(maker):
        raise UserError(f"--maker: {maker[:60]!r} is not a plain name (letters, digits, - and _)")
    options = _options(maker or corpus, arrays, _identity(source, rows), dtype)
    identity = extraction_fingerprint(options)
    state = PackState(out)
    state.make_folder()
    if (finished := state.finished(identity)) is not None:
        return finished
    size = max(1, min(FULL_SHARD, math.ceil(len(rows) / FEWEST_SHARDS)))
    cut = [rows[at : at + size] for at in range(0, len(rows), size)]
    mine = share(len(cut), *array)
    with state.task(*array, identity, mine), ArrayFiles() as files:
        if (finished := state.finished(identity)) is not None:
            return finished
        pending = [number for number in mine if state.read(number) is None]
        total = sum(len(cut[number]) for number in mine)
        with ProgressDisplay("packing", total, total - sum(len(cut[n]) for n in pending), progress) as bar:
            for number in pending:
                writer = ShardWriter(out, shard_name(number), state.temporary(number))
                with writer:
                    for row in cut[number]:
                        writer.add(_sample(row, arrays, files, dtype))
                state.finish(number, FinishedShard(shard=writer.shard, skips=[]))
                writer.commit()
                bar.advance(len(cut[number]))
        found = [record for number in range(len(cut)) if (record := state.read(number)) is not None]
        if len(found) < len(cut):
            return None
        with state.finalize_once() as is_finalizer:
            if not is_finalizer:
                return None
            shards = [record.shard for record in found if record.shard is not None]
            written = {**options, "fingerprint": identity}
            index = ShardIndex(
                dataset_id=dataset_id(shards), corpus=corpus, kind="features", options=written, shards=shards
            )
            write_index(out, index)
            state.remove()
            return index


def _identity(source: Path, rows: Sequence[Row]) -> str:
    """A hash of the table, and of the files' sizes and times: another model's arrays of the same shape are others."""
    digest = hashlib.sha256(source.read_bytes())
    for path in sorted({path for row in rows for path, _ in row.arrays.values()}):
        try:
            found = path.stat()
        except (OSError, ValueError):  # named when it is read
            continue
        digest.update(f"{path.name} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def _options(maker: str, arrays: Mapping[str, Declared], identity: str, dtype: str) -> dict[str, str]:
    """As `dual-hpc extract` records them; how media were prepared is not known, and nobody reads any."""
    said = {NAMES[column]: f"{what.width}@{what.hz or 0:g}" for column, what in arrays.items()}
    video = arrays["video"].hz if "video" in arrays else 5.0
    return {
        "source": identity,
        **{f"{name}_encoder": f"foreign {maker} {text}" for name, text in said.items()},
        **{"sample_rate": "16000", "image_size": "16", "video_hz": str(video)},
        **({"audio_hz": str(arrays["audio"].hz)} if "audio" in arrays else {}),
        **{"max_seconds": "3600.0", "max_tokens": "512"},
        "dtype": dtype,
        "batch_size": "1",
    }


def _sample(row: Row, arrays: Mapping[str, Declared], files: ArrayFiles, dtype: str) -> Sample:
    members: dict[str, bytes] = {}
    lasting: dict[str, tuple[int, float]] = {}  # column -> steps and seconds
    for column, (path, entry) in row.arrays.items():
        what = arrays[column]
        values = _shaped(files.read(path, entry, row.key), what, f"{row.place}: {column}", path)
        if not len(values):
            continue
        if what.hz is not None:
            lasting[column] = len(values), len(values) / what.hz
        members[f"{NAMES[column]}{FEATURES}"] = _npy(values, dtype, f"{row.place}: {column}")
    duration = row.duration if row.duration is not None else max((s for _, s in lasting.values()), default=0.0)
    for column, (steps, lasts) in lasting.items():
        _check_rate(row, column, steps, arrays[column].hz or 0.0, lasts, duration)
    if not duration:
        raise UserError(f"{row.place}: has no array in time; fill the column duration (seconds)")
    present = {f"has_{name}": f"{name}{FEATURES}" in members for name in NAMES.values()}
    if row.text is not None:
        members[TEXT] = row.text.encode()
    fields = {**row.fields, **present, "duration": duration}
    fields["sources"] = {NAMES[column]: path.name for column, (path, _) in row.arrays.items()}
    return Sample(Utterance(key=row.key, **fields), members)


def _shaped(array: NDArray[Any], what: Declared, where: str, path: Path) -> NDArray[Any]:
    """[D], [T, D] or [1, T, D] -> [T, D]."""
    found = array[0] if array.ndim == 3 and len(array) == 1 else array
    found = found[None] if found.ndim == 1 else found
    if found.ndim != 2 or found.shape[1] != what.width:
        turned = found.ndim == 2 and found.shape[0] == what.width
        raise UserError(
            f"{where}: {path.name} is of shape {[*array.shape]}, not [steps, {what.width}] as --array says"
            + ("; transpose it" if turned else "")
        )
    return found


def _check_rate(row: Row, column: str, steps: int, hz: float, lasts: float, duration: float) -> None:
    """Refuse arrays that are not as long as the utterance, which without `duration` is as long as the longest."""
    if steps == 1:  # one vector of the whole utterance
        return
    if abs(lasts - duration) > max(_TOLERANCE * duration, 2 / hz):
        known = "the utterance lasts" if row.duration is not None else "another of its arrays lasts"
        raise UserError(
            f"{row.place}: {column} has {steps} steps, {lasts:.2f} s at {hz:g} per second, but {known} "
            f"{duration:.2f} s; say in --array {column}=WIDTH@HZ how many there are per second"
        )


def _npy(values: NDArray[Any], dtype: str, where: str) -> bytes:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values.astype(dtype))
    if not np.isfinite(stored).all():
        what = "do not fit --dtype " + dtype if np.isfinite(values).all() else "are not all finite"
        raise UserError(f"{where}: its numbers {what}")
    buffer = io.BytesIO()
    np.save(buffer, stored, allow_pickle=False)
    return buffer.getvalue()
