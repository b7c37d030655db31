"""A small network under the project's engine: `toy.py ROOT SCENARIO:STAGE:PRECISION ...`, one process per rank."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from dual_hpc.checkpoint import deepspeed_io
from dual_hpc.checkpoint.export import gather_weights
from dual_hpc.config import RunConfig, validate
from dual_hpc.errors import DualError
from dual_hpc.model.execution import recompute
from dual_hpc.training import step as steps
from dual_hpc.training.distributed import World, init_distributed, seed_everything
from dual_hpc.training.engine import Engine
from dual_hpc.training.optimizer import set_learning_rates
from dual_hpc.training.phase_times import PhaseTimes
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState

GLOBAL_BATCH = 12


class Toy(nn.Module):
    """A regression with a frozen layer, a buffer, biases and a norm; `poison` makes its loss or gradient NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(6, 8)
        self.frozen.requires_grad_(False)
        self.audio_encoder = nn.Linear(8, 16)
        self.norm = nn.LayerNorm(16)
        self.out = nn.Linear(16, 1)
        self.shift: torch.Tensor
        self.register_buffer("shift", torch.full((6,), 0.5))

    def forward(self, waveform: torch.Tensor, labels: torch.Tensor, durations: torch.Tensor) -> SimpleNamespace:
        x = (waveform + self.shift).to(self.out.weight.dtype)
        hidden = self.norm(torch.tanh(self.audio_encoder(self.frozen(x))))
        error = self.out(hidden).squeeze(-1).float() - labels
        # durations: 1 a finite loss, inf an infinite loss, 0 a finite loss whose gradient is not a number
        return SimpleNamespace(loss=(error.square() * durations + torch.sqrt(error * 0 + durations)).mean())


def config(stage: int, precision: str) -> RunConfig:
    return validate(
        {
            "data": {"global_batch": GLOBAL_BATCH},
            "training": {"zero_stage": stage, "precision": precision},
            "optim": {"lr": 0.01, "encoder_lr_scale": 0.5, "clip_norm": 0.5},
        }
    )


def batches(step: int, world: World, accumulation: int, poison: float | None = None) -> list[dict[str, object]]:
    generator = torch.Generator().manual_seed(step % 2)
    x = torch.randn(GLOBAL_BATCH, 6, generator=generator)
    weight = torch.ones(GLOBAL_BATCH)
    if poison is not None:
        weight[-1] = poison
    keys = [f"s{step}_{n}" for n in range(GLOBAL_BATCH)]
    places = torch.arange(GLOBAL_BATCH).reshape(accumulation, world.size, -1)[:, world.rank]
    return [
        {
            "waveform": x[p],
            "labels": x[p].sum(-1),
            "durations": weight[p],
            "keys": [keys[i] for i in p.tolist()],
        }
        for p in places
    ]


class Session:
    """One job."""

    def __init__(
        self, root: Path, stage: int, precision: str, world: World, seed: int = 0, recomputed: bool = False
    ) -> None:
        torch.manual_seed(seed)
        model = Toy()
        for module in (model.audio_encoder, model.norm) if recomputed else ():
            recompute(module)
        self.config = config(stage, precision)
        self.world = world
        self.accumulation = 2
        self.engine = Engine(model, self.config, world.size, self.accumulation)
        (root / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.saver = Saver(root / "checkpoints", self.config, self.engine, world)
        self.state = TrainingState()

    def run(self, until: int, poison: dict[int, float] | None = None) -> list[steps.StepReport]:
        reports = []
        for step in range(self.state.step + 1, until + 1):
            seed_everything((0, step, self.world.rank))
            set_learning_rates(self.engine.deepspeed.optimizer, self.engine.peak_lrs, 1 / step)
            data = batches(step, self.world, self.accumulation, (poison or {}).get(step))
            times = PhaseTimes.on(self.world.device)
            reports.append(steps.train_step(self.engine, data, self.world, steps.RankRequests, times))
            self.state.step = step
        return reports

    def save(self) -> Path:
        self.saver.start(self.state)
        return self.saver.wait().folder

    def resume(self) -> list[str]:
        found = self.saver.resume()
        assert found is not None
        self.state = found.state
        return found.rejected

    def weights(self) -> dict[str, list[float]]:
        gathered = gather_weights(self.engine.deepspeed.module, self.world.rank)
        return {name: value.flatten().tolist() for name, value in gathered.items()}


def answer_of(save: Callable[[], object]) -> str:
    """The result of a save on this rank."""
    try:
        save()
    except DualError as error:
        return str(error)
    return "saved"


def main(root: Path, jobs: list[str]) -> None:
    """Run the jobs one after the other in one process group; results by job in `results.json`."""
    results = {}
    with init_distributed(2) as world:
        for job in jobs:
            scenario, stage, precision = job.split(":")
            folder = root / f"{scenario}-{stage}-{precision}"
            results[job] = SCENARIOS[scenario](folder, int(stage), precision, world)
        if world.rank == 0:
            (root / "results.json").write_text(json.dumps(results))


def curve(root: Path, stage: int, precision: str, world: World) -> object:
    """Six steps: losses, norms, final weights."""
    return steps_of(6, root, stage, precision, world)


def curve8(root: Path, stage: int, precision: str, world: World) -> object:
    """Eight of them."""
    return steps_of(8, root, stage, precision, world)


def recomputed(root: Path, stage: int, precision: str, world: World) -> object:
    """Six, with activations computed again in the backward pass."""
    return steps_of(6, root, stage, precision, world, recomputed=True)


def steps_of(count: int, root: Path, stage: int, precision: str, world: World, **options: bool) -> object:
    session = Session(root, stage, precision, world, **options)
    reports = session.run(count)
    return {
        "losses": [r.losses["loss"] for r in reports],
        "norms": [r.grad_norm for r in reports],
        "weights": session.weights(),
    }


def halves(root: Path, stage: int, precision: str, world: World) -> object:
    """Three steps and a checkpoint; then another engine resumes from it and goes on to step six."""
    session = Session(root, stage, precision, world)
    reports = session.run(3)
    session.save()

    session = Session(root, stage, precision, world)
    for value in session.engine.deepspeed.module.buffers():
        value.fill_(9.0)
    rejected = session.resume()
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(".pt")]
    start = session.state.step
    reports += session.run(6)
    return {
        "start": start,
        "rejected": rejected,
        "mapped": world.all_gather(mapped),
        "losses": [r.losses["loss"] for r in reports],
        "norms": [r.grad_norm for r in reports],
        "weights": session.weights(),
    }


def elastic(root: Path, stage: int, precision: str, world: World) -> object:
    """Two steps after those of earlier jobs with any number of ranks; started with other weights."""
    done = any(root.glob("checkpoints/step_*"))
    session = Session(root, stage, precision, world, seed=int(done))
    if done:
        for value in session.engine.deepspeed.module.buffers():
            value.fill_(9.0)
        session.resume()
    reports = session.run(session.state.step + 2)
    session.save()
    return {"losses": [r.losses["loss"] for r in reports], "weights": session.weights()}


def poisoned(root: Path, stage: int, precision: str, world: World) -> object:
    """An infinite loss in the first step, one later, and an infinite gradient under a finite loss."""
    session = Session(root, stage, precision, world)
    before = session.weights()
    reports = session.run(1, {1: float("inf")})
    after_first = session.weights()
    reports += session.run(3)
    before_gradient = session.weights()
    reports += session.run(4, {4: 0.0})
    after_gradient = session.weights()
    reports += session.run(5)
    return {
        "first_kept": before == after_first,
        "gradient_kept": before_gradient == after_gradient,
        "moved_at_last": session.weights() != after_gradient,
        "applied": [r.applied for r in reports],
        "finite": [r.finite for r in reports],
        "suspect_keys": reports[0].suspect_keys,
        "weights_finite": all(v == v for values in session.weights().values() for v in values),
    }


def failing_disk(root: Path, stage: int, precision: str, world: World) -> object:
    """The last rank cannot write its file: every rank learns it, and the checkpoint before is kept."""
    session = Session(root, stage, precision, world)
    session.run(2)
    session.save()
    session.run(3)
    real = deepspeed_io.torch
    if world.rank == world.size - 1:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        deepspeed_io.torch = SimpleNamespace(save=full)  # type: ignore[assignment]
    answer = answer_of(lambda: session.save())
    deepspeed_io.torch = real
    return {"answers": world.all_gather(answer), "left": sorted(p.name for p in (root / "checkpoints").iterdir())}


SCENARIOS = {f.__name__: f for f in (curve, curve8, recomputed, halves, elastic, poisoned, failing_disk)}

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
