"""Settings that are valid one by one and contradict each other: refused before a job is submitted."""

from __future__ import annotations

from dual_hpc.config.schema import ModelConfig
from dual_hpc.errors import UserError


def check_model(model: ModelConfig) -> None:
    """Refuse settings of which no model can be built.

    Raises:
        UserError: naming the settings that contradict each other.
    """
    if model.hidden_size % model.num_heads:
        raise UserError(f"model.num_heads={model.num_heads} does not divide model.hidden_size={model.hidden_size}")
    if not (model.use_audio or model.use_video or model.use_text):
        raise UserError("model.use_audio, use_video and use_text are all off: leave one of them on")
