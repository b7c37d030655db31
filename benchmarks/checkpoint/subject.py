"""What is saved: a DUAL of ten million parameters under ZeRO 1 on two ranks, trained on noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dual_hpc.config import RunConfig, load_config
from dual_hpc.model import build_model
from dual_hpc.training.distributed import World
from dual_hpc.training.engine import Engine
from dual_hpc.training.phase_times import PhaseTimes
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState
from dual_hpc.training.step import RankRequests, train_step

ACCUMULATION, MICRO, SECONDS, RATE, VIDEO_HZ, SIZE = 2, 4, 4.0, 16_000, 5, 48
PREPROCESSING = {
    "sample_rate": RATE,
    "image_size": SIZE,
    "video_hz": VIDEO_HZ,
    "max_seconds": SECONDS,
    "max_tokens": 32,
}


class Subject:
    """A model under DeepSpeed, and its savers.

    Attributes:
        savers: by `checkpoint.asynchronous`.
    """

    def __init__(self, world: World, folder: Path) -> None:
        torch.manual_seed(0)
        batch = world.size * ACCUMULATION * MICRO
        settings = [f"data.global_batch={batch}", f"data.micro_batch={MICRO}", "model.use_text=false"]
        settings += ["model.hidden_size=256", "training.zero_stage=1", "checkpoint.keep_last=1"]
        configs = {mode: config_with(settings, mode) for mode in (False, True)}
        model = build_model(configs[False].model, ["a", "b", "c", "d"], PREPROCESSING, None, None)
        self.world = world
        self.engine = Engine(model, configs[False], world.size, ACCUMULATION)
        folder.mkdir(parents=True, exist_ok=True)
        self.savers = {
            asynchronous: Saver(folder, config, self.engine, world) for asynchronous, config in configs.items()
        }
        self.state = TrainingState()

    def step(self) -> None:
        """One optimiser step."""
        times = PhaseTimes.on(self.world.device)
        batches = [noise(self.world.rank) for _ in range(ACCUMULATION)]
        train_step(self.engine, batches, self.world, RankRequests, times)
        self.state.step += 1


def config_with(settings: list[str], asynchronous: bool) -> RunConfig:
    return load_config("demo", [*settings, f"checkpoint.asynchronous={str(asynchronous).lower()}"])


def noise(seed: int) -> dict[str, Any]:
    """A micro-batch."""
    generator = torch.Generator().manual_seed(seed)
    samples, frames = int(SECONDS * RATE), int(SECONDS * VIDEO_HZ)
    return {
        "keys": [str(number) for number in range(MICRO)],
        "durations": torch.full((MICRO,), SECONDS),
        "waveform": torch.randn(MICRO, samples, generator=generator),
        "waveform_lengths": torch.full((MICRO,), samples),
        "frames": torch.randint(0, 256, (MICRO, frames, 3, SIZE, SIZE), generator=generator).byte(),
        "frame_lengths": torch.full((MICRO,), frames),
        "labels": torch.arange(MICRO) % 4,
    }


def by_deepspeed(subject: Subject, folder: Path) -> Callable[[], Any]:
    """DeepSpeed's own `save_checkpoint` with its own file layer."""
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

    engine = subject.engine.deepspeed
    ours, engine.checkpoint_engine = engine.checkpoint_engine, TorchCheckpointEngine()
    try:
        engine.save_checkpoint(str(folder), tag="deepspeed")
    finally:
        engine.checkpoint_engine = ours
    return lambda: None


def by_torch(subject: Subject, folder: Path, group: Any) -> Callable[[], Any]:
    """`torch.distributed.checkpoint.async_save` of the same content; the answer waits for its end."""
    import torch.distributed.checkpoint as dcp

    content = subject.engine.checkpoint_files("deepspeed", copy=False)
    state = {f"{subject.world.rank}/{name}": value for name, value in content.items()}
    return dcp.async_save(state, checkpoint_id=str(folder), process_group=group).result  # type: ignore[no-any-return]


def by_us(subject: Subject, asynchronous: bool) -> Callable[[], Any]:
    """This project's saver; the answer waits for the commit."""
    saver = subject.savers[asynchronous]
    saver.start(subject.state)
    return saver.wait
