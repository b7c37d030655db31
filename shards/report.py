"""What a pack did: expected, packed, skipped with reasons, counts next to the published ones; JSON and Markdown.

Nothing in it depends on the machine or the time, so a repeated pack writes the same report.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from dual_hpc.data.format.index import ShardIndex
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.advice import advice
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.printable import markdown_cell
from shards.corpora import corpus_of
from shards.observed import named, observed, without
from shards.plan import Skip

JSON_NAME, MARKDOWN_NAME, SHEET_NAME = "report.json", "report.md", "contact_sheet.png"


@dataclass(frozen=True)
class Report:
    """A finished packing."""

    corpus: str
    dataset_id: str
    expected: int  # utterances that the corpus names: packed and left out
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
    named: list[Skip] = field(default_factory=list)  # packed samples to look at, by key; absent in earlier reports

    @property
    def lost(self) -> int:
        """Utterances that are left out."""
        return self.expected - self.packed


_STORED = TypeAdapter(Report)


def make_report(index: ShardIndex, skips: list[Skip], notes: list[str]) -> Report:
    """The report of an index and of what was left out of it."""
    samples = [sample.meta for shard in index.shards for sample in shard.samples]
    corpus = corpus_of(index.corpus)
    counts = corpus.count(samples)
    packed = {meta.key for meta in samples}
    return Report(
        corpus=index.corpus,
        dataset_id=index.dataset_id,
        expected=len(packed | {skip.utterance for skip in skips if skip.utterance is not None}),
        packed=len(samples),
        shards=len(index.shards),
        bytes=sum(shard.bytes for shard in index.shards),
        hours=round(sum(meta.duration for meta in samples) / 3600, 4),
        without=without(samples),
        counts=counts,
        differences=corpus.differences(counts),
        skipped=skips,
        notes=[*notes, *observed(samples), *(advice(samples) if corpus.protocols == ("all",) else [])],
        options=index.options,
        named=[Skip(key, "; ".join(reasons), key) for key, reasons in named(samples, index.options).items()],
    )


def left_out(report: Report) -> list[str]:
    """What is not packed, in numbers: utterances, and what is none."""
    lines = [f"{report.lost} utterances are left out"] if report.lost else []
    others = sum(skip.utterance is None for skip in report.skipped)
    if others:
        lines.append(f"{others} other entries are no utterance, or one that is packed or counted already")
    return lines


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
        return _STORED.validate_json(read_bytes(folder / JSON_NAME))
    except (OSError, ValueError) as error:  # a ValidationError is one
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
    if report.named:
        lines += ["", f"## Packed samples to look at ({len(report.named)})", "", "| sample | why |", "|---|---|"]
        lines += [f"| {markdown_cell(sample.where)} | {markdown_cell(sample.reason)} |" for sample in report.named]
    lines += ["", f"## Skipped ({len(report.skipped)})", "", *(f"- {line}" for line in left_out(report)), ""]
    for reason, count in Counter(_kind(skip.reason) for skip in report.skipped).most_common():
        lines.append(f"- {count}: {markdown_cell(reason)}")
    lines += ["", "| where | reason |", "|---|---|"] if report.skipped else []
    lines += [f"| {markdown_cell(skip.where)} | {markdown_cell(skip.reason)} |" for skip in report.skipped]
    lines += ["", "## Options", ""]
    lines += [f"- {markdown_cell(name)}: {markdown_cell(value)}" for name, value in report.options.items()]
    return "\n".join(lines) + "\n"


def _kind(reason: str) -> str:
    """A reason without the file or utterance it names, and without what it quotes."""
    reason = re.sub(r"(['\"]).*\1", "...", reason)
    return reason.partition(": ")[2] or reason
