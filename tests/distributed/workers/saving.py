"""What befalls a save that is under way: `saving.py toy ROOT SCENARIO:STAGE:PRECISION ...` with the small network, and
`saving.py train RUN` as a launcher calls it.

For `train`, SICK names the first step of which every loss is infinite, FULL the save (1, 2, ...) from which on this
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
from dual_hpc.group import Alone
from dual_hpc.training import loop
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
    there = Saver(root / "waited", waiting, session.engine, world).save(session.progress)

    moved, real = threading.Event(), commit.reached
    commit.reached = lambda point: moved.wait(120) and None  # type: ignore[assignment]
    try:
        session.saver.begin(session.progress)
        session.run(4)
        landed = session.saver.landed
    finally:
        moved.set()
        commit.reached = real
    saved = session.saver.finish()
    return {"same": load(there).files == load(saved.folder).files, "landed": landed, "step": saved.step}


def rolled_back(root: Path, stage: int, precision: str, world: World) -> object:
    """Back to step 3 after two sick steps, against a training that is taken up at step 3 and sent on behind them."""
    session = toy.Session(root, stage, precision, world)
    session.run(3)
    session.saver.save(session.progress)
    session.run(6, {5: float("inf"), 6: float("inf")})
    session.saver.save(session.progress)  # of a step behind the good one: not to be chosen
    back = session.saver.roll_back(4)
    losses = [report.losses["loss"] for report in session.run(8)]

    other = toy.Session(root, stage, precision, world, seed=1)
    assert other.saver.roll_back(2) is None
    assert other.saver.roll_back(4) == 3
    other.progress.step = 6
    expected = [report.losses["loss"] for report in other.run(8)]
    return {"back": back, "same": losses == expected and session.weights() == other.weights()}


def full(root: Path, stage: int, precision: str, world: World) -> object:
    """The last rank's disk is full during a save, which goes on in the background; then it has room again."""
    session = toy.Session(root, stage, precision, world)
    session.run(2)
    session.saver.save(session.progress)
    session.run(3)
    with limited(1 << 10 if world.rank == world.size - 1 else None):
        session.saver.begin(session.progress)
        session.run(4)
        answer = toy.answer_of(session.saver.finish)
    found = select.newest_proven(root / "checkpoints", world)
    left = sorted(path.name for path in (root / "checkpoints").iterdir())
    session.saver.save(session.progress)
    after = select.newest_proven(root / "checkpoints", world)
    assert found is not None and after is not None
    return {
        "answers": world.gather(answer),
        "left": left,
        "proven": [found.manifest.step, after.manifest.step],
    }


def gone(root: Path, stage: int, precision: str, world: World) -> object:
    """The store vanishes while a checkpoint is written."""
    session = toy.Session(root, stage, precision, world)
    session.run(2)
    real, away = commit.reached, root / "away"

    def vanish(point: str) -> None:
        if point == "made" and world.rank == 0:
            os.rename(root / "checkpoints", away)

    commit.reached = vanish
    answer = toy.answer_of(lambda: session.saver.save(session.progress))
    commit.reached = real
    if world.rank == 0:
        os.rename(away, root / "checkpoints")
    session.saver.save(session.progress)
    found = select.newest_proven(root / "checkpoints", Alone())
    assert found is not None
    return {"answers": world.gather(answer), "proven": found.manifest.step}


@contextmanager
def limited(size: int | None) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    if size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, former)


def train(folder: Path) -> None:
    from dual_hpc.training import step as steps

    sick, full_at = (int(os.environ.get(name, 1 << 30)) for name in ("SICK", "FULL"))
    seed, real, number, saves = loop.seed_everything, steps.train_step, 0, 0

    def seeding(parts: Any) -> None:
        nonlocal number
        number = parts[1] if len(parts) == 3 else number
        seed(parts)

    def stepping(engine: Any, batches: Any, *rest: Any) -> Any:
        if number >= sick:
            for batch in batches:
                batch["waveform"] = batch["waveform"] * float("inf")
        return real(engine, batches, *rest)

    def reached(point: str) -> None:
        nonlocal saves
        saves += point == "made"
        if saves >= full_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))

    commit.reached = reached
    loop.seed_everything, steps.train_step = seeding, stepping
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
