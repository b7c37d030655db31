"""What is saved: a DUAL of ten million parameters under ZeRO 1 on two ranks, trained on noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import CheckpointEngine

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
        settings += ["model.hidden_size=256", "training.zero_stage=1", "checkpoint.keep_last=1000"]
        configs = {mode: config_with(settings, mode) for mode in (False, True)}
        model = build_model(configs[False].model, ["a", "b", "c", "d"], PREPROCESSING, None, None)
        self.world = world
        self.engine = Engine(model, configs[False], world.size, ACCUMULATION)
        folder.mkdir(parents=True, exist_ok=True)
        self.savers = {
            asynchronous: Saver(folder, config, self.engine, world) for asynchronous, config in configs.items()
        }
        self.state = TrainingState()

    def files(self) -> dict[str, Any]:
        return self.engine.checkpoint_files("deepspeed", copy=False)

    def save_by(self, layer: CheckpointEngine, folder: Path) -> None:
        """DeepSpeed's own `save_checkpoint` with this file layer."""
        engine = self.engine.deepspeed
        ours, engine.checkpoint_engine = engine.checkpoint_engine, layer
        try:
            engine.save_checkpoint(str(folder), tag="deepspeed")
        finally:
            engine.checkpoint_engine = ours

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
