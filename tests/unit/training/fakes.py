"""A training that is small enough for unit tests: a real `Session` with a real saver, reporter and exporter, around a
network of a few numbers, a loader without files and one rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from dual_hpc.checkpoint.deepspeed_io import VerifiedFiles
from dual_hpc.config import RunConfig, load_config
from dual_hpc.data.decoding.decoder_counts import DecoderCounts
from dual_hpc.errors import UserError
from dual_hpc.group import SingleProcess
from dual_hpc.model.confidence import Confidence
from dual_hpc.model.family import FAMILIES
from dual_hpc.run.directory import RunDir
from dual_hpc.training.exporter import Exporter
from dual_hpc.training.reporter import Reporter
from dual_hpc.training.saving import Saver
from dual_hpc.training.schedule import TrainingSchedule
from dual_hpc.training.session import Session
from dual_hpc.training.state import TrainingState

SAMPLES, BATCH, CLASSES = 12, 4, 3  # three steps per epoch


class World(SingleProcess):
    """A process group of one rank, with the collectives of `dual_hpc.training.distributed.World`."""

    device = torch.device("cpu")

    def new_gloo_group(self) -> SingleProcess:
        return SingleProcess()

    def all_reduce_sum(self, values: torch.Tensor) -> torch.Tensor:
        return values


class Network(nn.Module):
    """Classifies by duration. With dropout, so that the weights depend on the random state."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(1, 4)
        self.dropout = nn.Dropout(0.5)
        self.out = nn.Linear(4, CLASSES)

    def forward(
        self, durations: torch.Tensor, labels: torch.Tensor | None = None, output_alignment: bool = False
    ) -> SimpleNamespace:
        logits = self.out(self.dropout(torch.tanh(self.hidden(durations[:, None]))))
        found = SimpleNamespace(
            logits=logits, loss=None if labels is None else nn.functional.cross_entropy(logits, labels)
        )
        if output_alignment:
            found.mask = torch.ones(len(durations), 2, dtype=torch.bool)
            found.alignment_static = found.alignment_dynamic = torch.eye(2).expand(len(durations), 2, 2)
        return found


class DeepSpeed(nn.Module):
    """The part of a DeepSpeed engine that a training calls; one micro-batch per step."""

    load_checkpoint: Any

    def __init__(self) -> None:
        super().__init__()
        self.module = Network()
        self.optimizer = torch.optim.AdamW(self.module.parameters())

    def forward(self, **inputs: torch.Tensor) -> SimpleNamespace:
        return self.module(**inputs)

    def backward(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()

    def fp16_enabled(self) -> bool:
        return False


class Engine:
    """`dual_hpc.training.engine.Engine` around `DeepSpeed`."""

    accumulation = 1
    family = FAMILIES.get("dual")

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.deepspeed: Any = DeepSpeed()
        self.deepspeed.load_checkpoint = self._load_checkpoint
        self.optimizer = self.deepspeed.optimizer
        self.peak_lrs = [0.1]
        self.files = VerifiedFiles()

    def finish_step(self, apply: bool) -> bool:
        if apply:
            self.deepspeed.optimizer.step()
        return apply

    def backward(self, loss: torch.Tensor) -> None:
        self.deepspeed.backward(loss)

    def grad_norm(self) -> float:
        return 1.0

    def gradient_is_finite(self) -> bool:
        return True

    def checkpoint_files(self, folder: str, copy: bool) -> dict[str, Any]:
        optimizer = self.deepspeed.optimizer.state_dict()["state"]
        content = {"module": self.deepspeed.module.state_dict(), "optimizer": optimizer}
        return {f"{folder}/state.pt": _copied(content) if copy else content}

    def _load_checkpoint(self, folder: str, tag: str, **_: Any) -> tuple[str, None]:
        content = self.files.load(f"{folder}/{tag}/state.pt")
        self.deepspeed.module.load_state_dict(content["module"])
        optimizer = self.deepspeed.optimizer
        optimizer.load_state_dict({**optimizer.state_dict(), "state": content["optimizer"]})
        return folder, None

    def weights(self) -> dict[str, list[float]]:
        return {name: value.flatten().tolist() for name, value in self.deepspeed.module.state_dict().items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return value.clone() if isinstance(value, torch.Tensor) else value


def batch(number: int, duration: float = 1.0) -> dict[str, Any]:
    return {
        "keys": [f"k{number}_{row}" for row in range(BATCH)],
        "durations": torch.linspace(0.1, duration, BATCH),
        "labels": (torch.arange(BATCH) + number) % CLASSES,
        "valid": torch.ones(BATCH, dtype=torch.bool),
    }


class BadSamples:
    """The loader's list of samples that cannot be decoded."""

    def __init__(self, limit: int) -> None:
        self.limit, self.keys = limit, list[str]()

    def __len__(self) -> int:
        return len(self.keys)

    def known(self) -> list[str]:
        return list(self.keys)

    def merge(self, known: list[str]) -> None:
        self.keys += [key for key in known if key not in self.keys]

    def state_dict(self) -> list[dict[str, Any]]:
        return [{"key": key} for key in self.keys]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        self.keys = [entry["key"] for entry in state]

    def check(self) -> None:
        if len(self) > self.limit:
            raise UserError("data.bad_sample_limit")


class Loader:
    """Endless steps of one micro-batch; `before[n]` is called before that of step n, `non_finite` names steps."""

    padding, accumulation = 0.0, 1

    def __init__(self, before: dict[int, Callable[[], Any]] | None = None, non_finite: tuple[int, ...] = ()) -> None:
        self.before, self.non_finite = before or {}, non_finite
        self.bad_samples = BadSamples(limit=2)
        self.decoders = DecoderCounts()
        self.step, self.closed = 0, False

    def micro_batches(self) -> Iterator[dict[str, Any]]:
        while True:
            self.step += 1
            self.before.get(self.step, lambda: None)()
            yield batch(self.step, float("inf") if self.step in self.non_finite else 1.0)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    def close(self) -> None:
        self.closed = True


class ValidationLoader:
    """Two batches; `between` is called after the first."""

    def __init__(self, between: Callable[[], Any] = lambda: None) -> None:
        self.between, self.closed = between, False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield batch(100)
        self.between()
        yield batch(101)

    def close(self) -> None:
        self.closed = True


class Watchdog:
    """Records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def stepping(self) -> None:
        self.calls.append("stepping")

    def waiting(self) -> None:
        self.calls.append("waiting")

    def close(self) -> None:
        self.calls.append("close")


class Writer:
    """Exports weights as torch's file."""

    def take(self, weights: dict[str, torch.Tensor]) -> None:
        self.weights = weights

    def write(self, folder: Path, confidence: Confidence | None = None) -> None:
        torch.save(self.weights, folder / "weights.pt")


SETTINGS = (
    *("tracking.enabled=false", f"data.global_batch={BATCH}", "training.epochs=2", "training.log_every=1"),
    *("training.precision=fp32", "training.zero_stage=0", "checkpoint.keep_last=9", "checkpoint.every_steps=2"),
)


def make_run(folder: Path, *overrides: str) -> RunDir:
    return RunDir.create(folder, load_config("demo", [f"store={folder}", *SETTINGS, *overrides]))


def make_session(run: RunDir, loader: Loader | None = None, **parts: Any) -> Session:
    """The next job's session of a run, resumed from its checkpoints. `parts` replace those of the same name."""
    config: RunConfig = run.config()
    world: Any = World()
    engine: Any = Engine()
    saver = Saver(run.checkpoints, config, engine, world)
    resumed = saver.resume()
    state = resumed.state if resumed is not None else TrainingState()
    loader = loader or Loader()
    loader.step = state.step
    loader.bad_samples.load_state_dict(state.bad_samples)
    reporter = Reporter(run, config, world, lambda: None)
    schedule = TrainingSchedule.of(config, SAMPLES)
    reporter.start(state.step, schedule.total_steps)

    made: dict[str, Any] = {
        "config": config,
        "world": world,
        "engine": engine,
        "schedule": schedule,
        "state": state,
        "loader": loader,
        "validation_loader": ValidationLoader(),
        "class_count": CLASSES,
        "saver": saver,
        "exporter": Exporter(run.exports, engine, world, Writer(), lambda: None),
        "reporter": reporter,
        "reports": run.reports,
        "saved": state.model_copy(deep=True) if resumed is not None else None,
    }
    return Session(**{**made, **parts})
