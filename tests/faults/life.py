"""A run's life with a fault of the disk at one call of it, and what must hold afterwards.

`python -m tests.faults.life LIBRARY FOLDER EVERY one|all` runs with the shim preloaded: one process loads everything,
and a forked child lives each case. It prints one JSON line per case: every EVERY-th call, with one kind of fault in
turn or with all of them.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dual_hpc.checkpoint import select
from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import DualError
from dual_hpc.model import build_model, build_tokenizer
from dual_hpc.model_manifest import damage_of
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.run.lease import Lease
from dual_hpc.run.names import step_folder
from dual_hpc.training.export import ModelWriter
from dual_hpc.training.exporter import Exporter
from dual_hpc.training.loop import FINISHED, run_session
from dual_hpc.training.stop_requests import StopRequests
from dual_hpc.training.stopping import StopFlag
from launch.records import failures, submissions
from tests.faults.shim import Shim, in_child, strikes
from tests.unit.conftest import LABELS, PREPROCESSING
from tests.unit.training.fakes import Watchdog, make_run, make_session

STEPS = 6


class Words(ModelWriter):
    """Makes the model that a run exports; it depends on nothing."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        tokenizer = build_tokenizer(["fine fine"])
        small = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1, use_video=False)
        model = build_model(small, LABELS, PREPROCESSING, None, tokenizer)
        super().__init__(model.config, tokenizer)
        super().take(model.state_dict())

    def take(self, weights: dict[str, torch.Tensor]) -> None:
        """Whatever is trained."""


def live(folder: Path, model: Words) -> None:
    """Submit a run and let one job train it to its end."""
    run = make_run(folder / "run")
    submissions.record(run.path, submissions.Entry(event="submit", job_id="7"))
    lease = Lease.acquire(run.path, "7", 0, lost=print)
    try:
        session = make_session(run)
        session.exporter = Exporter(run.exports, session.engine, session.world, model, lease.check)
        flag = StopFlag()
        ended = run_session(session, StopRequests(flag, run.path, 0, {}, 60), Watchdog())  # type: ignore[arg-type]
        assert ended == FINISHED, ended
    except Exception as error:
        failure = failures.Failure(job_id="7", rank=0, host="n", message=str(error), exit_code=1, log="l")
        with contextlib.suppress(OSError):  # as `launch.job.rank` does
            failures.record(run.logs, failure)
        raise
    finally:
        lease.release()


def outcome(act: Callable[[], Any]) -> tuple[str | None, str]:
    """The error in one line (None without), and what was printed; "TRACE" in front of an error that is no fault."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            act()
            return None, said.getvalue()
        except DualError as error:
            return str(error), said.getvalue()
        except OSError as error:  # the command and the rank name the file of it
            line = f"{error.filename}: {error.strerror}" if error.filename else f"TRACE no file: {error!r}"
            return line, said.getvalue()
        except BaseException:
            return f"TRACE {traceback.format_exc()}", said.getvalue()


def lost(run: RunDir) -> list[str]:
    """Records of a whole life that are not there, or damaged ones that are."""
    found = []
    if [entry.event for entry in submissions.read(run.path)].count("submit") < 1:
        found.append("submission")
    if [segment.event for segment in run.segments()][-1:] != ["end"] or run.segments()[-1].reason != FINISHED:
        found.append("segments")
    curves = replay(read(run.journal))
    if sorted(curves.get("train/loss", {})) != list(range(1, STEPS + 1)):
        found.append(f"losses {sorted(curves.get('train/loss', {}))}")
    if sorted(curves.get("val/av/ua", {})) != [3, 6]:
        found.append("validations")
    steps = select.steps(run.checkpoints)
    if steps[-1:] != [STEPS]:
        found.append(f"checkpoints {steps}")
    return found + damaged(run) + [f"export/{n}" for n in ("best", "last") if not (run.exports / n).is_dir()]


def damaged(run: RunDir) -> list[str]:
    """Committed checkpoints and exports that are not as they were written."""
    found = [f"step {s}" for s in select.steps(run.checkpoints) if select.verify(run.checkpoints / step_folder(s))]
    names = [n for n in ("best", "last") if (run.exports / n).is_dir()]
    return found + [f"export/{n}: {why}" for n in names if (why := damage_of(run.exports / n)) != []]


def case(shim: Shim, folder: Path, model: Words, at: int, kind: str, lasting: bool) -> dict[str, Any]:
    """One life with a fault, what is left of it, and the life that follows on a disk that works."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shim.arm(folder, at, kind, lasting)
    error, said = outcome(lambda: live(folder, model))
    calls, failed = shim.disarm()
    run = RunDir(folder / "run")
    problems = [f"the error is no line: {error}"] if error and ("\n" in error or error.startswith("TRACE")) else []
    try:
        problems += [f"accepted: {what}" for what in damaged(run)]
        missing = lost(run) if run.identity_file.exists() else ["all"]
        if missing and error is None and "WARNING" not in said:
            problems.append(f"lost in silence: {missing}")
        again, _ = outcome(lambda: live(folder, model))
        if again is not None:
            problems.append(f"the next job fails: {again}")
        problems += [f"not there after the next job: {what}" for what in lost(run)]
    except BaseException:
        problems.append(traceback.format_exc())
    return {"calls": calls, "failed": failed, "error": error, "problems": problems}


def main(library: str, folder: str, every: str, which: str) -> None:
    shim, root, model = Shim(library), Path(folder), Words()
    whole = in_child(partial(case, shim, root / "whole", model, 0, "EIO", False))
    print(json.dumps(whole), flush=True)
    for at, kind, lasting in strikes(whole["calls"], int(every), which):
        found = in_child(partial(case, shim, root / "case", model, at, kind, lasting))
        print(json.dumps({"at": at, "kind": kind, "lasting": lasting, **found}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
