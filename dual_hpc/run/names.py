"""The names of what lies in a run directory, for whoever reads or writes it (contract 4)."""

from __future__ import annotations

import re
from pathlib import Path

CONFIG = "config.yaml"
IDENTITY = "run.json"  # written last: a directory without it is not a run
JOURNAL = "journal.jsonl"
SEGMENTS = "segments.jsonl"
SUBMISSIONS = "submissions.jsonl"
LEASE = "lease.json"
MICRO_BATCH = "micro_batch.jsonl"  # what `data.micro_batch: auto` came to, by kind of device and number of ranks
CODE_ARCHIVE = "code.zip"
PREVIOUS_CODE = "code.previous.zip"  # what CODE_ARCHIVE was before it was replaced by other code
PROFILE_FILE = "profile.json"  # made by `dual-hpc profile`: which ranks trace themselves, for how many steps
STOP_FILE = "stop"  # made by `dual-hpc stop`: save, end and do not continue; whoever submits the run again removes it

CHECKPOINTS = "checkpoints"
EXPORTS = "export"
LOGS = "logs"
REPORTS = "reports"
TOKENIZER = "tokenizer"
ALIGNMENT = "alignment.jsonl"  # how alike sound and picture of a few validation samples are, once per epoch
PROFILES = "profiles"  # FOLDER/rank_RRRR.json.gz: the traces that PROFILE_FILE or training.profile_steps asked for
SYSTEM = "system"  # NODE.jsonl: samples of what each node did, in the form of JOURNAL

FAILURES = "failures.jsonl"  # in logs/
MANIFEST = "manifest.json"  # in the folder of each committed checkpoint

# What a job, or a command that submits one, runs or reads instructions from; see dual_hpc.files.ownership.
EXECUTED = (CODE_ARCHIVE, CONFIG, IDENTITY, SUBMISSIONS, LOGS, f"{LOGS}/*_submitted.pkl", "sweep.json")

_STEP_FOLDER = re.compile(r"^step_(\d{8,})$")


def step_folder(step: int) -> str:
    """The folder of a checkpoint, or of the weights exported at a step; sorts as the steps do."""
    return f"step_{step:08d}"


def step_of(folder: Path) -> int | None:
    """The step in such a folder's name; None for anything else (unfinished folders end in .tmp)."""
    match = _STEP_FOLDER.match(folder.name)
    return int(match.group(1)) if match else None


def memory_snapshot(rank: int) -> str:
    """What a rank that ran out of a GPU's memory had there, in logs/ beside its log."""
    return f"rank_{rank:04d}_memory.pickle"


def rank_log(rank: int) -> str:
    """The log of a rank, in logs/."""
    return f"rank_{rank:04d}.log"
