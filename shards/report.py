"""What a pack did: expected, packed, skipped with reasons, counts next to the published ones; JSON and Markdown.

Nothing in it depends on the machine or the time, so a repeated pack writes the same report.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dual_hpc.atomic import write_atomically
from dual_hpc.data.format.index import ShardIndex
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError
from dual_hpc.json_text import parse_json
from dual_hpc.printable import markdown_cell
from dual_hpc.regular_file import read_bytes
from shards.corpora import corpus_of
from shards.plan import Skip

JSON_NAME, MARKDOWN_NAME, SHEET_NAME = "report.json", "report.md", "contact_sheet.png"


# What packing records of a sample whose media were odd (`options` of its metadata), for people.
_ODD = {
    "concealed": "have damaged frames that the decoder concealed (see their option `concealed`)",
    "audio_silence": "have gaps in their audio, which are silent (see their option `audio_silence`, seconds)",
    "audio_overlap": "have audio time stamps that overlap; the overlap was cut (see their option `audio_overlap`)",
    "audio_restarts": "have audio whose time stamps jump back; it was joined (see their option `audio_restarts`)",
    "video_restarts": "have pictures whose time stamps jump back; they were joined (see their option `video_restarts`)",
    "audio_cancelled": "have channels in opposite phase: their mix is almost silent (see `audio_cancelled`)",
    "resized": "have pictures whose size changes; they were scaled to the first (see their option `resized`)",
}


@dataclass(frozen=True)
class Report:
    """A finished packing."""

    corpus: str
    dataset_id: str
    expected: int  # utterances with an annotation: packed + skipped
    packed: int
    shards: int
    bytes: int
    hours: float
    without: dict[str, int]  # modality -> packed samples that lack it
    counts: dict[str, int]
    differences: dict[str, tuple[int, int]]  # group -> (published, packed)
    skipped: list[Skip]
    notes: list[str]
    options: dict[str, str]


def make_report(index: ShardIndex, skips: list[Skip], notes: list[str]) -> Report:
    """The report of an index and of what was left out of it."""
    samples = [sample.meta for shard in index.shards for sample in shard.samples]
    corpus = corpus_of(index.corpus)
    counts = corpus.count(samples)
    return Report(
        corpus=index.corpus,
        dataset_id=index.dataset_id,
        expected=len(samples) + len(skips),
        packed=len(samples),
        shards=len(index.shards),
        bytes=sum(shard.bytes for shard in index.shards),
        hours=round(sum(meta.duration for meta in samples) / 3600, 4),
        without={
            "audio": sum(not meta.has_audio for meta in samples),
            "video": sum(not meta.has_video for meta in samples),
            "text": sum(not meta.has_text for meta in samples),
        },
        counts=counts,
        differences=corpus.differences(counts),
        skipped=skips,
        notes=[*notes, *observed(samples)],
        options=index.options,
    )


def observed(samples: Sequence[Utterance]) -> list[str]:
    """What packing itself did to the samples."""
    notes = []
    cut = sum("cut_from" in meta.options for meta in samples)
    if cut:
        notes.append(f"{cut} samples are longer than --max-seconds and were cut")
    early = sum("ends_early" in meta.options for meta in samples)
    if early:
        notes.append(f"{early} samples' media end before the annotated end (see their option `ends_early`, seconds)")
    clipped = [meta.clipped for meta in samples if meta.clipped]
    if clipped:
        notes.append(
            f"{len(clipped)} samples have audio beyond full scale: {sum(clipped)} audio samples were clipped "
            "(see their `clipped`)"
        )
    notes += [f"{count} samples {what}" for option, what in _ODD.items() if (count := _having(samples, option))]
    coverage = [float(meta.options["faces"]) for meta in samples if "faces" in meta.options]
    if coverage:
        mean, without = sum(coverage) / len(coverage), sum(share == 0 for share in coverage)
        notes.append(f"a face was found in {mean:.0%} of the frames; {without} samples have no face in any frame")
    return notes


def _having(samples: Sequence[Utterance], option: str) -> int:
    return sum(option in meta.options for meta in samples)


def write_report(folder: Path, report: Report) -> None:
    """Write `report.json` and `report.md` into the folder of the shards."""
    text = json.dumps(asdict(report), indent=1, ensure_ascii=False)
    write_atomically(folder / JSON_NAME, text + "\n")
    write_atomically(folder / MARKDOWN_NAME, markdown(report))


def read_report(folder: Path) -> Report:
    """The report of a finished pack.

    Raises:
        UserError: it was removed or changed.
    """
    try:
        stored = parse_json(read_bytes(folder / JSON_NAME))
        skipped = [Skip(**skip) for skip in stored.pop("skipped")]
        differences = {group: (pair[0], pair[1]) for group, pair in stored.pop("differences").items()}
        return Report(**stored, skipped=skipped, differences=differences)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{folder / JSON_NAME}: is missing or was changed; the shards in the folder are complete"
        ) from error


def markdown(report: Report) -> str:
    """The report for people."""
    lines = [
        f"# {markdown_cell(report.corpus)}: {report.packed} of {report.expected} utterances packed",
        "",
        f"{report.shards} shards, {report.bytes / 1e6:.1f} MB, {report.hours:.2f} hours; data set {report.dataset_id}",
        "",
    ]
    lines += [f"- {count} samples without {name}" for name, count in report.without.items() if count]
    lines += [f"- {markdown_cell(note)}" for note in report.notes]
    lines += ["", "## Samples", "", "| group | packed | published |", "|---|---:|---:|"]
    differing = {group: wanted for group, (wanted, _) in report.differences.items()}
    known = bool(corpus_of(report.corpus).published)
    for group in [*report.counts, *(g for g in differing if g not in report.counts)]:
        found = report.counts.get(group, 0)
        wanted = f"**{differing[group]}**" if group in differing else str(found) if known else ""
        lines.append(f"| {markdown_cell(group)} | {found} | {wanted} |")
    lines += ["", f"## Skipped ({len(report.skipped)})", ""]
    for reason, count in Counter(_kind(skip.reason) for skip in report.skipped).most_common():
        lines.append(f"- {count}: {markdown_cell(reason)}")
    lines += ["", "| where | reason |", "|---|---|"] if report.skipped else []
    lines += [f"| {markdown_cell(skip.where)} | {markdown_cell(skip.reason)} |" for skip in report.skipped]
    lines += ["", "## Options", ""]
    lines += [f"- {markdown_cell(name)}: {markdown_cell(value)}" for name, value in report.options.items()]
    return "\n".join(lines) + "\n"


def _kind(reason: str) -> str:
    """A reason without the file or utterance it names."""
    return reason.rpartition(": ")[2]
