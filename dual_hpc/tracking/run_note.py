"""What MLflow's list and page of a run say about it: tags to choose by, and a description. Pure but for the reports."""

from __future__ import annotations

from collections.abc import Sequence

from dual_hpc.config import RunConfig
from dual_hpc.files.real_path import real_path
from dual_hpc.files.regular_file import read_text
from dual_hpc.printable import markdown_cell
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import Entry
from dual_hpc.run.profile_request import trace_folders
from dual_hpc.tracking.datasets import trained_on

_PROFILES = 8  # folders in the tag, which MLflow cuts at 8000 characters
_OURS = ("# Evaluation", "# Run ")


def tags_of(config: RunConfig, entries: Sequence[Entry]) -> dict[str, str]:
    """What the list of runs is chosen and grouped by: data, fold, model, seed, and how far the run is."""
    tags = {
        "dual.protocol": config.data.protocol,
        "dual.model": config.model.family,
        "dual.seed": str(config.seed),
        "dual.progress": progress_of(entries),
    }
    for data in trained_on(entries, config.data.protocol, config.data.shards):
        tags["dual.dataset"] = data.digest
        if data.fold is not None:
            tags["dual.test_fold"] = str(data.fold)
    return {key: value for key, value in tags.items() if value}


def profiles_tag(run: RunDir) -> dict[str, str]:
    """`dual.profiles`: the folders of traces of single steps, the latest last; nothing where there are none."""
    folders = [str(real_path(folder)) for folder in trace_folders(run.path)[-_PROFILES:]]
    return {"dual.profiles": ", ".join(folders)} if folders else {}


def progress_of(entries: Sequence[Entry]) -> str:
    """ "120 of 400 steps"; empty before the first."""
    starts = [entry.fields.get("total_steps") for entry in entries if entry.event == "start"]
    step = max((entry.step or 0 for entry in entries), default=0)
    total = next((value for value in reversed(starts) if isinstance(value, int)), None)
    return "" if total is None else f"{step} of {total} steps"


def is_ours(note: str) -> bool:
    """Whether a description is one of those that `note_of` makes, or none: another one was written by somebody."""
    return not note or note.startswith(_OURS)


def note_of(run: RunDir, entries: Sequence[Entry]) -> str:
    """The test's report; before there is one, what the run is and how far it is."""
    for report in (run.reports / "test_best.md", run.reports / "test_last.md"):
        if report.is_file():
            return read_text(report)
    config = run.config()
    if not (progress := progress_of(entries)):
        return ""
    lines = [f"# Run {markdown_cell(run.identity().name)}", "", f"{progress}."]
    data = trained_on(entries, config.data.protocol, config.data.shards)
    for one in data:
        lines += ["", f"{one.split}: {markdown_cell(one.name)}, {one.count} utterances, data set `{one.digest}`"]
    best = [entry for entry in entries if entry.event == "best" and isinstance(entry.fields.get("score"), float)]
    if best:
        chosen = config.training
        lines += ["", f"Best so far: {chosen.select_by} {best[-1].fields['score']:.4f} on validation, with"]
        lines[-1] += f" {chosen.select_modalities}, at step {best[-1].step}."
    if folders := trace_folders(run.path):
        traced = ", ".join(markdown_cell(str(real_path(folder))) for folder in folders[-_PROFILES:])
        lines += ["", f"Traces of single steps, which Perfetto opens: {traced}"]
    return "\n".join(lines) + "\n"
