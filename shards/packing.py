"""A raw corpus to a folder of shards: plan, pack what is not packed yet, write the report, and the index last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dual_hpc.data.format.index import ShardIndex, dataset_id, write_index
from dual_hpc.data.preparation.faces import haar_detector
from dual_hpc.errors import UserError
from dual_hpc.progress import ProgressDisplay
from shards.contact_sheet import write_contact_sheet
from shards.corpora import read_corpus
from shards.job import ShardJob
from shards.layout import cut, fingerprint, share, shuffled, weight
from shards.options import PackOptions
from shards.pack_state import FinishedShard, PackState, report_disk_faults
from shards.plan import Plan, Skip
from shards.pool import run_jobs
from shards.report import SHEET_NAME, Report, make_report, read_report, write_report
from shards.synthetic.dials import recorded_dials


@report_disk_faults()
def pack(
    corpus: str,
    source: Path,
    out: Path,
    options: PackOptions | None = None,
    workers: int = 1,
    progress: bool | None = None,
    name: str | None = None,
    array: tuple[int, int] = (0, 1),
    choices: Mapping[str, str | None] | None = None,
) -> Report | None:
    """Pack a corpus; killed and started again, it continues after the last finished shard.

    The shards do not depend on `workers` or `array`.

    Args:
        corpus: the name of a registered corpus: iemocap, meld, cremad, ..., manifest, or one of a plugin.
        source: the corpus's folder, or the manifest.
        out: folder of the shards; made if it is absent.
        progress: a bar on standard error; None: if that is a terminal.
        array: (index, count) of this task among several that fill the same folder; the last to finish
            writes report and index.
        choices: reader options of the corpus (`shards.corpora.corpus.READER_OPTIONS`) besides its name.

    Returns:
        The report; None from an array task that leaves it to another.

    Raises:
        UserError: source or options are wrong, or another packer works on `out`.
        EnvironmentFault: the disk is full or cannot be written, or workers are killed again and again.
    """
    options = options or PackOptions()
    if options.faces:
        haar_detector()  # refuse before the work starts, not in a worker
    if options.named_side == "whole" and (choices or {}).get("listener") is not None:
        raise UserError("--listener: both actors are in a whole picture; leave out --named-side whole")
    plan = read_corpus(corpus, source, name, **(choices or {}))
    if (dials := recorded_dials(source)) is not None:
        plan.choices["synthetic"] = dials
    if not plan.utterances:
        first = f" (the first: {plan.skips[0].where}: {plan.skips[0].reason})" if plan.skips else ""
        told = "".join(f"; {note}" for note in plan.notes[:3])
        left = f"{len(plan.skips)} entries left out{first}{told}"
        raise UserError(f"source: {source} holds nothing that can be packed; {left}")
    groups = cut(shuffled(plan.utterances), options.shard_samples)
    identity = fingerprint(plan, options)
    state = PackState(out)
    state.make_folder()
    if state.finished(identity) is not None:
        return read_report(out)
    index, count = array
    mine = share(len(groups), index, count)
    with state.task(index, count, identity, mine):
        if state.finished(identity) is not None:
            return read_report(out)  # the last of the other tasks finalized while this one started
        jobs = [ShardJob(i, groups[i], plan.root, out, options) for i in mine if state.read(i) is None]
        jobs.sort(key=lambda job: weight(job.utterances), reverse=True)
        total = sum(len(groups[i]) for i in mine)
        done = total - sum(len(job.utterances) for job in jobs)
        with ProgressDisplay(f"packing {plan.corpus}", total, done, progress) as bar:
            run_jobs(jobs, workers, bar.advance)
        finished = _collect(state, len(groups))
        if finished is None:
            return None
        with state.finalize_once() as is_finalizer:
            return _finalize(plan, options, identity, finished, out, state) if is_finalizer else None


def _collect(state: PackState, count: int) -> list[FinishedShard] | None:
    found = [state.read(number) for number in range(count)]
    return None if None in found else [record for record in found if record is not None]


def _coding(finished: Sequence[FinishedShard]) -> str:
    """How videos are coded, by versions, the earliest first; "earlier": shards that an earlier version had packed."""
    found = {record.coding for record in finished if record.shard is not None}
    return ",".join("earlier" if version is None else str(version) for version in sorted(found, key=lambda v: v or 0))


def _finalize(
    plan: Plan, options: PackOptions, identity: str, finished: Sequence[FinishedShard], out: Path, state: PackState
) -> Report:
    shards = [record.shard for record in finished if record.shard is not None]
    skips = [*plan.skips, *(Skip(key, reason, key) for record in finished for key, reason in record.skips)]
    if not shards:
        state.remove()
        raise UserError(f"source: no utterance could be packed (the first: {skips[0].where}: {skips[0].reason})")
    index = ShardIndex(
        dataset_id=dataset_id(shards),
        corpus=plan.corpus,
        options={**options.recorded(), **plan.choices, "coding": _coding(finished), "fingerprint": identity},
        shards=shards,
    )
    report = make_report(index, skips, plan.notes)
    write_report(out, report)
    write_contact_sheet(out, index, out / SHEET_NAME)
    write_index(out, index)
    state.remove()
    return report
