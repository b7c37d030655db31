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
    if not (model.use_audio or model.use_video or model.use_text):
        raise UserError("model.use_audio, use_video and use_text are all off: leave one of them on")
