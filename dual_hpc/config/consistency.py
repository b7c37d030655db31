"""Settings that are right one by one and make no model together: told before a job waits for them."""

from __future__ import annotations

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import UserError


def check_model(model: ModelConfig) -> None:
    """Refuse what no data can make good.

    Raises:
        UserError: naming the settings that contradict each other.
    """
    if model.hidden_size % model.num_heads:
        raise UserError(f"model.num_heads={model.num_heads} does not divide model.hidden_size={model.hidden_size}")
    used = [name for name in ("audio", "video", "text") if getattr(model, f"use_{name}")]
    if not used:
        raise UserError("model.use_audio, use_video and use_text are all off: leave one of them on")
    stored = [name for name in used if getattr(model, name).kind == "features"]
    if stored and stored != used:
        other = next(name for name in used if name not in stored)
        raise UserError(f"model.{other}.kind: {stored[0]} is read from features, so {other} must be as well")
