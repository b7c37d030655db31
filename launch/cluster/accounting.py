"""What sacct says of jobs. Pure, apart from the question itself, which `launch.cluster.slurm` asks."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from launch.cluster.job_record import SlurmJob, Usage

FIELDS = ("JobID", "State", "ExitCode", "NodeList", "ElapsedRaw", "AllocTRES", "MaxRSS", "Submit", "Start", "NNodes")
SACCT = ("sacct", "--allusers", "--noheader", "--parsable2", "--duplicates", f"--format={','.join(FIELDS)}")

# "12", "12_3", "12+0", and their steps; what waits in an array is one line, "12_[4-9]".
_NAME = re.compile(r"\d+(_\d+|\+\d+)?(\.[\w+]+)?")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_accounting(text: str) -> dict[str, SlurmJob]:
    """What SACCT prints: the last start of each job, with its steps and the earlier starts; foreign lines left out."""
    jobs: dict[str, SlurmJob] = {}
    for line in text.splitlines():
        values = line.split("|")
        if len(values) != len(FIELDS) or not _NAME.fullmatch(values[0]):
            continue
        row = dict(zip(FIELDS, values, strict=True))
        job_id, _, step = row["JobID"].partition(".")
        state = row["State"].split()[0] if row["State"] else ""  # "CANCELLED by 1000"
        before = jobs.get(job_id)
        if not step:
            earlier = (*before.earlier, before.state) if before else ()
            usage = (before.usage if before else Usage()) + _usage(row)
            exit_code, nodes = row["ExitCode"], row["NodeList"]
            jobs[job_id] = SlurmJob(job_id, state, "", nodes, exit_code, earlier=earlier, usage=usage)
        elif before:
            peak = replace(before.usage, peak_memory=max(before.usage.peak_memory, size(row["MaxRSS"])))
            exits = (*before.step_exits, row["ExitCode"])
            jobs[job_id] = replace(before, steps=(*before.steps, state), step_exits=exits, usage=peak)
    return jobs


def _usage(row: dict[str, str]) -> Usage:
    seconds = float(row["ElapsedRaw"]) if row["ElapsedRaw"].isdecimal() else 0.0
    allocated = dict(part.split("=", 1) for part in row["AllocTRES"].split(",") if "=" in part)
    nodes = int(row["NNodes"]) if row["NNodes"].isdecimal() else 0
    submitted, began = seconds_of(row["Submit"]), seconds_of(row["Start"])
    return Usage(
        seconds=seconds,
        waited=max(0.0, began - submitted) if began is not None and submitted is not None else 0.0,
        core_seconds=seconds * size(allocated.get("cpu", "")),
        gpu_seconds=seconds * size(allocated.get("gres/gpu", "")),
        memory=size(allocated.get("mem", "")) / max(1, nodes),
    )


def size(text: str) -> float:
    """ "512K", "1.5G", "3": a number with a binary unit, in bytes (or without one, as it is); 0 where it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)[nc]?", text)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def seconds_of(moment: str) -> float | None:
    """Unix seconds of a time as Slurm prints it; None for "Unknown", "N/A" and the like."""
    try:
        return time.mktime(time.strptime(moment, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
