"""Failures during a pending save: `saving.py toy ROOT SCENARIO:STAGE:PRECISION ...` with the small network, and
`saving.py train RUN` as a launcher calls it.

For `train`, NON_FINITE is the first step of which every loss is infinite, FULL the save (1, 2, ...) from which on this
process cannot write files larger than 64 KiB.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.manifest import load
from dual_hpc.errors import DualError
from dual_hpc.group import SingleProcess
from dual_hpc.training import loop, session
from dual_hpc.training.distributed import World
from dual_hpc.training.saving import Saver

sys.path.insert(0, str(Path(__file__).parent))
import toy


def same(root: Path, stage: int, precision: str, world: World) -> object:
    """A checkpoint that is written while two more steps are made, and one of the same step that they wait for."""
    session = toy.Session(root, stage, precision, world)
    session.run(2)
    waiting = session.config.model_copy(deep=True)
    waiting.checkpoint.asynchronous = False
    other = Saver(root / "waited", waiting, session.engine, world)
    other.start(session.state)
    expected = other.wait().folder

    moved, real = threading.Event(), commit.failpoint
    commit.failpoint = lambda point: moved.wait(120) and None  # type: ignore[assignment]
    try:
        session.saver.start(session.state)
        session.run(4)
        done = session.saver.done
    finally:
        moved.set()
        commit.failpoint = real
    saved = session.saver.wait()
    return {"same": load(expected).files == load(saved.folder).files, "done": done, "step": saved.step}


def rolled_back(root: Path, stage: int, precision: str, world: World) -> object:
    """Back to step 3 after two non-finite steps; must equal a training that resumes from step 3 and skips them."""
    session = toy.Session(root, stage, precision, world)
    session.run(3)
    session.save()
    session.run(6, {5: float("inf"), 6: float("inf")})
    session.save()  # of a later step: must not be selected
    back = session.saver.roll_back(4)
    losses = [report.losses["loss"] for report in session.run(8)]

    other = toy.Session(root, stage, precision, world, seed=1)
    assert other.saver.roll_back(2) is None
    assert other.saver.roll_back(4) == 3
    other.state.step = 6
    expected = [report.losses["loss"] for report in other.run(8)]
    return {"back": back, "same": losses == expected and session.weights() == other.weights()}


def full(root: Path, stage: int, precision: str, world: World) -> object:
    """The last rank's disk is full during a save, which goes on in the background; then it has room again."""
    session = toy.Session(root, stage, precision, world)
    session.run(2)
    session.save()
    session.run(3)
    with limited(1 << 10 if world.rank == world.size - 1 else None):
        session.saver.start(session.state)
        session.run(4)
        answer = toy.answer_of(session.saver.wait)
    found = select.latest_verified(root / "checkpoints", world)
    left = sorted(path.name for path in (root / "checkpoints").iterdir())
    session.save()
    after = select.latest_verified(root / "checkpoints", world)
    assert found is not None and after is not None
    return {
        "answers": world.all_gather(answer),
        "left": left,
        "verified": [found.manifest.step, after.manifest.step],
    }


def gone(root: Path, stage: int, precision: str, world: World) -> object:
    """The store vanishes while a checkpoint is written."""
    session = toy.Session(root, stage, precision, world)
    session.run(2)
    real, away = commit.failpoint, root / "away"

    def vanish(name: str) -> None:
        if name == "made" and world.rank == 0:
            os.rename(root / "checkpoints", away)

    commit.failpoint = vanish
    answer = toy.answer_of(lambda: session.save())
    commit.failpoint = real
    if world.rank == 0:
        os.rename(away, root / "checkpoints")
    session.save()
    found = select.latest_verified(root / "checkpoints", SingleProcess())
    assert found is not None
    return {"answers": world.all_gather(answer), "verified": found.manifest.step}


@contextmanager
def limited(size: int | None) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    if size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, former)


def train(folder: Path) -> None:
    non_finite, full_at = (int(os.environ.get(name, 1 << 30)) for name in ("NON_FINITE", "FULL"))
    seed, real, number, saves = session.seed_everything, session.train_step, 0, 0

    def seeding(parts: Any) -> None:
        nonlocal number
        number = parts[1]
        seed(parts)

    def stepping(engine: Any, batches: Any, *rest: Any) -> Any:
        def damaged() -> Iterator[Any]:
            for batch in batches:
                yield {**batch, "waveform": batch["waveform"] * float("inf")}

        return real(engine, damaged() if number >= non_finite else batches, *rest)

    def failpoint(name: str) -> None:
        nonlocal saves
        saves += name == "made"
        if saves >= full_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))

    commit.failpoint = failpoint
    session.seed_everything, session.train_step = seeding, stepping  # type: ignore[assignment]
    try:
        print(loop.train(folder))
    except DualError as error:
        print(f"{type(error).__name__}: {error}")
        os._exit(error.exit_code)


SCENARIOS = {act.__name__: act for act in (same, rolled_back, full, gone)}

if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(Path(sys.argv[2]))
    else:
        toy.SCENARIOS.update(SCENARIOS)
        toy.main(Path(sys.argv[2]), sys.argv[3:])
