"""Every registered model under every ZeRO stage, beside plain PyTorch: `families.py ROOT`, per rank.

The losses of two steps, each of one batch that the ranks share, and the first gradient's norm.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from dual_hpc.config import RunConfig, validate
from dual_hpc.model import build_model
from dual_hpc.model.family import FAMILIES
from dual_hpc.training.distributed import World, init_distributed
from dual_hpc.training.engine import Engine
from dual_hpc.training.optimizer import parameter_groups

SAMPLES, STEPS, WIDTHS = 8, 2, {"audio": 6, "video": 10, "text": 8}
PREPROCESSING = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 6.0, "max_tokens": 16}


def config_of(family: str, stage: int) -> RunConfig:
    encoders = {
        name: {"kind": "features", "config": {"width": width, **({"rate_hz": 10.0} if name == "audio" else {})}}
        for name, width in WIDTHS.items()
    }
    options = {} if family == "dual" else {"width": 16}
    shape = {"hidden_size": 16, "num_heads": 2, "residual_layers": 1, "decoder_layers": 1, "dropout": 0}
    return validate(
        {
            "data": {"global_batch": SAMPLES},
            "model": {"family": family, "options": options, **shape, **encoders},
            "training": {"zero_stage": stage, "precision": "fp32"},
        }
    )


def model_of(config: RunConfig) -> Any:
    torch.manual_seed(0)
    return build_model(config.model, ["a", "b", "c"], PREPROCESSING, [3, 2, 3], None)


def batch_of() -> dict[str, torch.Tensor]:
    """Utterances of unlike lengths; the fourth has no sound, the fifth no pictures, the sixth no words."""
    random = torch.Generator().manual_seed(1)
    durations = torch.rand(SAMPLES, generator=random) + 0.5
    batch = {"durations": durations, "labels": torch.arange(SAMPLES) % 3}
    for row, (name, width) in enumerate(WIDTHS.items(), start=3):
        lengths = (durations * 5).long()
        lengths[row] = 0
        batch |= {name: torch.randn(SAMPLES, 7, width, generator=random), f"{name}_lengths": lengths}
    return batch


def plain(config: RunConfig) -> dict[str, Any]:
    """Without DeepSpeed, the whole batch at once."""
    model, optim, batch = model_of(config).train(), config.optim, batch_of()
    groups = parameter_groups(model.named_parameters(), optim, FAMILIES.get(config.model.family).encoders)
    optimizer = torch.optim.AdamW(groups, betas=optim.betas, eps=optim.eps)
    losses, norms = [], []
    for _ in range(STEPS):
        loss = model(**batch).loss
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), optim.clip_norm)))
        losses.append(float(loss.detach()))
        optimizer.step()
        optimizer.zero_grad()
    return {"losses": losses, "norms": norms}


def under_zero(config: RunConfig, world: World) -> dict[str, Any]:
    engine = Engine(model_of(config).train(), config, world.size, 1)
    share = SAMPLES // world.size
    mine = {name: values[world.rank * share : (world.rank + 1) * share] for name, values in batch_of().items()}
    losses, norms = [], []
    for _ in range(STEPS):
        loss = engine.deepspeed(**mine).loss
        engine.backward(loss)
        engine.finish_step(apply=True)
        losses.append(sum(world.all_gather(float(loss.detach()))) / world.size)
        norms.append(engine.grad_norm())
    return {"losses": losses, "norms": norms}


def main(root: Path) -> None:
    with init_distributed(2) as world:
        results = {}
        for family in FAMILIES.names():
            results[family] = {"plain": plain(config_of(family, 0))}
            for stage in (1, 2, 3):
                results[family][str(stage)] = under_zero(config_of(family, stage), world)
        if world.rank == 0:
            (root / "families.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
